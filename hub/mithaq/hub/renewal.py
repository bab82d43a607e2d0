"""The hub's own certificate, and those of its operator's API, renewed before they end.

The hub asks as a member does: its request goes into the box that the registrar empties,
signed by the cosigning pair, and k administrators approve it. The listeners read their
files at each handshake, so a new certificate is in use without a restart and calls that
run live on. With replicas each folder would ask for itself, so only one of them is to
renew (`renews_certificate`), and the others get a copy of its files.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mithaq.certs.acts import TlsSubject
from mithaq.certs.errors import TrustError, UnknownMemberError
from mithaq.certs.keystore import Keystore
from mithaq.certs.own_certificate import OwnCertificate
from mithaq.certs.renewal import TlsHolder, hash_of
from mithaq.certs.renewal_folder import RenewalFolder
from mithaq.certs.tls import IdentityKind, SpiffeId, csr, identity, tls_key_from_pem
from mithaq.hub.config import HubConfig
from mithaq.hub.context import HubContext
from mithaq.hub.errors import HubError
from mithaq.hub.work_folder import COSIGNING_KEY, OPERATOR, hub_tls_files, local_api
from mithaq.service.local_api import ends_soon
from mithaq.service.logging import declare, logger
from mithaq.service.profile import write_private
from mithaq.store.errors import StoreError

RENEWED: Final = declare("certificate renewed")
RENEWAL_FAILED: Final = declare("certificate not renewed", "code")
_REFUSED: Final = "MQ-CERT-FILE"


def own_certificate(config: HubConfig) -> OwnCertificate:
    """Return where the hub's certificate lies and what asks for the next."""
    files = hub_tls_files(config)
    return OwnCertificate(
        holder=TlsHolder(TlsSubject.HUB),
        keys=Keystore(config.keys).load_pair(COSIGNING_KEY),
        private_key=files.private_key,
        chain=files.chain,
        renewing=RenewalFolder(config.directory / "renewing"),
    )


@dataclass(frozen=True, slots=True)
class Renewal:
    """Renews what ends soon, one step at a time."""

    hub: HubContext
    own: OwnCertificate

    async def step(self) -> None:
        """Do what is to be done now: begin, ask, or take up what was approved."""
        try:
            renew_local(self.hub.config, at=self.hub.clock())
            await self._step()
        except UnknownMemberError:
            # Approved, and the entry is still on its way to us.
            return
        except (TrustError, HubError, StoreError, OSError) as fault:
            # The database may be away for a while; a certificate has weeks left.
            logger().warning(RENEWAL_FAILED, code=getattr(fault, "code", _REFUSED))

    async def _step(self) -> None:
        hub, at = self.hub, self.hub.clock()
        request = self.own.wanted(hub.registry, at=at)
        if request is None:
            return
        asked = hash_of(request)
        await hub.desk.request_enrolment(request, request_hash=asked, member="")
        decision = await hub.desk.decision(asked)
        if decision is None:
            return
        if not decision.approved:
            logger().warning(RENEWAL_FAILED, code=decision.reason)
            self.own.forget_request()
            return
        self.own.receive(decision.certificate_chain.encode(), hub.registry, at=at)
        logger().info(RENEWED)


def renew_local(config: HubConfig, *, at: datetime) -> None:
    """Renew the operator's API's certificate and the operator's profile if they end soon."""
    api = local_api(config.directory, config.federation)
    api.renew_server(at=at)
    certificate = config.directory / OPERATOR / "certificate.pem"
    # Carried away, perhaps: then `mithaq hub profile` makes another.
    if not certificate.exists() or not ends_soon(certificate.read_bytes(), at=at):
        return
    user = identity(certificate.read_bytes()).user
    key = tls_key_from_pem((config.directory / OPERATOR / "key.pem").read_bytes())
    name = SpiffeId(api.federation, IdentityKind.OFFICER, api.owner, user)
    draft = certificate.with_name("certificate.next.pem")
    write_private(draft, api.issue_user(csr(key, name), user, at=at).pem)
    draft.replace(certificate)
