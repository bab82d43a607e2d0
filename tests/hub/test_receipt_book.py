"""Receipts as they are told on: each once, the newest only, in the order in which they came."""

from mithaq.hub.receipt_book import (
    HeldReceipt,
    ReceiptBook,
    held_receipt,
    in_messages,
    tell,
)
from mithaq.ledger.lists import RECEIPTS_PER_MESSAGE_MAX
from mithaq.v1 import exchange_pb2

HELD, OPENED = exchange_pb2.RECEIPT_ROLE_HELD, exchange_pb2.RECEIPT_ROLE_OPENED
LOG, OTHER_LOG = 7, 8
STREAM_ID, ROOT, HEAD = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))


def receipt(
    reader: str, size: int, *, role: int = HELD, log_no: int = LOG, head: bytes = b""
) -> HeldReceipt:
    return held_receipt(
        log_no,
        reader,
        role,
        size,
        stream_id=STREAM_ID,
        root=ROOT,
        cosignature=f"— {reader} {size}",
        refusals_head=head,
    )


def book_of(*receipts: HeldReceipt) -> ReceiptBook:
    book = ReceiptBook()
    for each in receipts:
        book.put(each)
    return book


def told(book: ReceiptBook, number: int = 0) -> list[tuple[str, int, int]]:
    return [(each.reader, each.role, each.size) for each in book.since(LOG, number)]


def test_only_the_newest_of_a_reader_and_role_is_told() -> None:
    book = book_of(
        receipt("tn-dgsn", 3),
        receipt("int-iom", 3),
        receipt("tn-dgsn", 3, role=OPENED),
        receipt("tn-dgsn", 9),
    )
    assert told(book) == [("int-iom", HELD, 3), ("tn-dgsn", OPENED, 3), ("tn-dgsn", HELD, 9)]
    assert told(book, book.number) == []


def test_what_came_behind_a_number_is_told_and_nothing_else() -> None:
    book = book_of(receipt("tn-dgsn", 3))
    before = book.number
    book.put(receipt("int-iom", 3))
    book.put(receipt("int-iom", 3, log_no=OTHER_LOG))
    assert told(book, before) == [("int-iom", HELD, 3)]


def test_an_older_receipt_never_takes_a_newer_ones_place() -> None:
    book = book_of(receipt("tn-dgsn", 9))
    before = book.number
    book.put(receipt("tn-dgsn", 3))
    assert told(book) == [("tn-dgsn", HELD, 9)]
    assert told(book, before) == []


def test_the_same_receipt_again_is_no_news() -> None:
    book = book_of(receipt("tn-dgsn", 3, role=OPENED))
    before = book.number
    book.put(receipt("tn-dgsn", 3, role=OPENED))
    assert told(book, before) == []


def test_a_receipt_that_names_another_list_of_refusals_is_news() -> None:
    book = book_of(receipt("tn-dgsn", 3, role=OPENED))
    before = book.number
    book.put(receipt("tn-dgsn", 3, role=OPENED, head=HEAD))
    assert told(book, before) == [("tn-dgsn", OPENED, 3)]
    assert book.one(LOG, "tn-dgsn", OPENED) == receipt("tn-dgsn", 3, role=OPENED, head=HEAD)


def test_nothing_is_known_of_who_has_not_signed() -> None:
    book = book_of(receipt("tn-dgsn", 3))
    assert book.one(LOG, "tn-dgsn", OPENED) is None
    assert book.one(OTHER_LOG, "tn-dgsn", HELD) is None


def test_a_message_has_as_many_as_it_may_and_says_all_of_each() -> None:
    readers = [f"tn-r{number:03}" for number in range(RECEIPTS_PER_MESSAGE_MAX + 1)]
    book = book_of(*(receipt(each, 5, head=HEAD) for each in readers))
    portions = list(in_messages(book.since(LOG, 0)))
    assert [len(each) for each in portions] == [RECEIPTS_PER_MESSAGE_MAX, 1]
    message = exchange_pb2.Receipts()
    tell(message.receipts, portions[1])
    assert list(message.receipts) == [
        exchange_pb2.Receipt(
            stream_id=STREAM_ID,
            reader=readers[-1],
            role=HELD,
            size=5,
            root=ROOT,
            cosignature=f"— {readers[-1]} 5",
            refusals_head=HEAD,
        )
    ]
