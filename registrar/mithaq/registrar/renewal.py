"""The registrar's own certificate, which it shows the hub, and those of its local API.

The registrar issues the federation's certificates, but its own counts no more than
another's before k administrators have signed the entry: it waits like everybody's. The
rule: the link to the hub is begun anew with the new certificate, and the old one stays
good until it ends.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from mithaq.certs.acts import TlsSubject
from mithaq.certs.errors import TrustError
from mithaq.certs.own_certificate import OwnCertificate
from mithaq.certs.renewal import TlsHolder, hash_of
from mithaq.registrar.office import Office
from mithaq.registrar.places import REGISTRAR_KEY, Places
from mithaq.service.logging import declare, logger
from mithaq.store.errors import StoreError

RENEWAL_INTERVAL_S: Final = 600.0
RENEWED: Final = declare("certificate renewed")
RENEWAL_FAILED: Final = declare("certificate not renewed", "code")


def own_certificate(places: Places) -> OwnCertificate:
    """Return where the registrar's certificate lies and what asks for the next."""
    return OwnCertificate(
        holder=TlsHolder(TlsSubject.REGISTRAR),
        keys=places.keys.load_pair(REGISTRAR_KEY),
        private_key=places.tls.private_key,
        chain=places.tls.chain,
        renewing=places.renewing,
    )


@dataclass(frozen=True, slots=True)
class Renewal:
    """Renews the registrar's own certificate; `switched` is told when a new one is in use."""

    office: Office
    own: OwnCertificate
    switched: Callable[[], None]

    def is_answered(self) -> bool:
        """Tell whether there is an answer to what was asked."""
        request = self.own.renewing.request()
        return request is not None and hash_of(request) in self.office.log.state.decisions

    async def step(self) -> None:
        """Do what is to be done now: begin, ask, or take up what was approved."""
        try:
            await self._step()
        except (TrustError, StoreError, OSError) as fault:
            # The database may be away for a while; a certificate has weeks left.
            logger().warning(RENEWAL_FAILED, code=getattr(fault, "code", "MQ-CERT-FILE"))

    async def _step(self) -> None:
        at = self.office.now()
        request = self.own.wanted(self.office.log.registry, at=at)
        if request is None:
            return
        try:
            await self.office.act(lambda log: (None, log.take_request(request, at=at)))
            decision = self.office.log.state.decisions.get(hash_of(request))
            if decision is None:
                return
            if decision.approved:
                self.own.receive(decision.certificate, self.office.log.registry, at=at)
                logger().info(RENEWED)
                self.switched()
                return
        except TrustError:
            # Outdated, or answered too late: the next step begins another.
            self.own.forget_request()
            raise
        logger().warning(RENEWAL_FAILED, code=decision.reason)
        self.own.forget_request()
