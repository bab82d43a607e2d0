from itertools import chain

from mithaq.ledger import errors
from mithaq.ledger.errors import LedgerError

FAMILY = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, LedgerError)
]
# PROTOCOL 6.
ALARMS = {"fork", "root mismatch", "sequence gap", "commitment mismatch"}


def test_every_fault_has_a_code_of_its_own() -> None:
    codes = [each.code for each in FAMILY]
    assert len(set(codes)) == len(FAMILY) > 10
    assert all(code.startswith("MQ-LEDGER") for code in codes)


def test_the_alarms_are_those_of_the_protocol() -> None:
    assert {each.alarm for each in FAMILY} == ALARMS | {None}


def test_what_a_peer_may_learn_is_a_sentence_that_names_nobody() -> None:
    told = [each.public_message for each in FAMILY]
    assert all(each.endswith(".") for each in told)
    assert not set(chain.from_iterable(told)) & set("0123456789{}")
