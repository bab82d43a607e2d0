"""Lists to read in tests: a made-up one, always, and the published ones where they lie.

`MITHAQ_UN_DATA` names a folder with `un_consolidated_*.xml`; without it, `shared/data`
beside the project is looked into. Nothing is fetched.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from xml.sax.saxutils import escape

from mithaq.node.imports.unsc import Identify, ImportTerms
from mithaq.node.records.identifiers import new_alert_id

AT = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
TERMS = ImportTerms(
    issuer="eg-moi",
    authority="Synthetic sanctions unit",
    legal_basis="Resolution 0000 (1900)",
    expires_at=AT + timedelta(days=365),
    review_by=AT + timedelta(days=180),
)
_BESIDE = Path(__file__).parents[3] / "shared" / "data"
PUBLISHED = sorted(
    Path(os.environ.get("MITHAQ_UN_DATA", str(_BESIDE))).glob("un_consolidated_*.xml")
)


def identify(seed: int = 1) -> Identify:
    """Return a source of fresh alert ids."""
    rng = Random(seed)  # noqa: S311  ids that repeat from run to run
    return lambda _: (new_alert_id(TERMS.issuer, at=AT, randomness=rng.randbytes), 1)


def wrapped(individuals: str = "", entities: str = "") -> bytes:
    """Return a list with these entries."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<CONSOLIDATED_LIST dateGenerated="2026-01-02T03:04:05.006-04:00">\n'
        f"<INDIVIDUALS>\n{individuals}</INDIVIDUALS>\n<ENTITIES>\n{entities}</ENTITIES>\n"
        "</CONSOLIDATED_LIST>\n"
    ).encode()


def individual(dataid: object, inner: str = "", *, first: str = "Zanbar") -> str:
    """Return the least that an individual's entry says, and what else is given."""
    return (
        f"<INDIVIDUAL><DATAID>{dataid}</DATAID><VERSIONNUM>1</VERSIONNUM>"
        f"<FIRST_NAME>{escape(first)}</FIRST_NAME><UN_LIST_TYPE>Synthetic</UN_LIST_TYPE>"
        "<REFERENCE_NUMBER>SYi.001</REFERENCE_NUMBER><LISTED_ON>2001-02-03</LISTED_ON>"
        f"<LIST_TYPE><VALUE>UN List</VALUE></LIST_TYPE>{inner}</INDIVIDUAL>\n"
    )


def chunks(data: bytes, size: int = 65_536) -> list[bytes]:
    """Cut a file into what is read at a time."""
    return [data[at : at + size] for at in range(0, len(data), size)]


EVERYTHING = """
<INDIVIDUAL>
  <DATAID>1001</DATAID><VERSIONNUM>7</VERSIONNUM>
  <FIRST_NAME> ZANBAR </FIRST_NAME><SECOND_NAME/><THIRD_NAME>TIM
  DUM</THIRD_NAME><FOURTH_NAME>AL-KALRUSH</FOURTH_NAME>
  <UN_LIST_TYPE>Synthetic</UN_LIST_TYPE><REFERENCE_NUMBER>SYi.001 </REFERENCE_NUMBER>
  <LISTED_ON>2001-02-03-05:00</LISTED_ON><SUBMITTED_BY>Nowhere</SUBMITTED_BY>
  <NAME_ORIGINAL_SCRIPT>زانبار \u200fتيم</NAME_ORIGINAL_SCRIPT>
  <COMMENTS1>Said to be &lt;made up&gt; &amp; harmless.\r\nSecond line.\tTab.</COMMENTS1>
  <TITLE><VALUE>Dr</VALUE><VALUE>General </VALUE></TITLE>
  <DESIGNATION><VALUE>Chair</VALUE></DESIGNATION>
  <NATIONALITY><VALUE>Tunisia</VALUE><VALUE>Possibly Nowherish</VALUE></NATIONALITY>
  <LIST_TYPE><VALUE>UN List</VALUE></LIST_TYPE>
  <LAST_DAY_UPDATED><VALUE>2002-03-04</VALUE><VALUE/><VALUE>2003-04-05</VALUE></LAST_DAY_UPDATED>
  <INDIVIDUAL_ALIAS><QUALITY>Good</QUALITY><ALIAS_NAME>Barzan</ALIAS_NAME>
    <DATE_OF_BIRTH>1970-05-06</DATE_OF_BIRTH><CITY_OF_BIRTH>Qasr Dumir</CITY_OF_BIRTH>
    <COUNTRY_OF_BIRTH>Libya</COUNTRY_OF_BIRTH><NOTE>as a child</NOTE></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ALIAS><QUALITY>Low</QUALITY><ALIAS_NAME>Barzan</ALIAS_NAME>
    <DATE_OF_BIRTH>1971</DATE_OF_BIRTH></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ALIAS><QUALITY/><ALIAS_NAME/></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ALIAS><QUALITY/><ALIAS_NAME>Ohne Art</ALIAS_NAME></INDIVIDUAL_ALIAS>
  <INDIVIDUAL_ADDRESS><COUNTRY/></INDIVIDUAL_ADDRESS>
  <INDIVIDUAL_ADDRESS><STREET>1 Rush Road</STREET><CITY>Zarbal</CITY>
    <STATE_PROVINCE>North</STATE_PROVINCE><ZIP_CODE>0578</ZIP_CODE><COUNTRY>Iraq</COUNTRY>
    <NOTE>until 2009</NOTE></INDIVIDUAL_ADDRESS>
  <INDIVIDUAL_ADDRESS><NOTE>until 2009</NOTE></INDIVIDUAL_ADDRESS>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE><NOTE>passport</NOTE>
    <DATE>1970-05-06</DATE></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE>
    <DATE>1970-05-06+03:00</DATE></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>APPROXIMATELY</TYPE_OF_DATE>
    <YEAR>1971</YEAR></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>BETWEEN</TYPE_OF_DATE><NOTE>camp list</NOTE>
    <FROM_YEAR>1968</FROM_YEAR><TO_YEAR>1972</TO_YEAR></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE>EXACT</TYPE_OF_DATE>
    <NOTE>Nov. 1970</NOTE></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><YEAR>1973</YEAR></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_DATE_OF_BIRTH><TYPE_OF_DATE/></INDIVIDUAL_DATE_OF_BIRTH>
  <INDIVIDUAL_PLACE_OF_BIRTH><STREET>A lane</STREET><CITY>Bir Lahun</CITY>
    <STATE_PROVINCE>South</STATE_PROVINCE><COUNTRY>Mali</COUNTRY><NOTE>now Zarbal</NOTE>
  </INDIVIDUAL_PLACE_OF_BIRTH>
  <INDIVIDUAL_DOCUMENT><TYPE_OF_DOCUMENT>Passport</TYPE_OF_DOCUMENT>
    <TYPE_OF_DOCUMENT2>Service passport</TYPE_OF_DOCUMENT2><NUMBER> A 1234567</NUMBER>
    <ISSUING_COUNTRY>Tunisia</ISSUING_COUNTRY><DATE_OF_ISSUE>1999-12-31</DATE_OF_ISSUE>
    <CITY_OF_ISSUE>Tunis</CITY_OF_ISSUE><COUNTRY_OF_ISSUE>Iran / unknown</COUNTRY_OF_ISSUE>
    <NOTE>expired</NOTE></INDIVIDUAL_DOCUMENT>
  <INDIVIDUAL_DOCUMENT><TYPE_OF_DOCUMENT2> </TYPE_OF_DOCUMENT2></INDIVIDUAL_DOCUMENT>
  <GENDER>MALE</GENDER><SORT_KEY>zanbar</SORT_KEY><SORT_KEY_LAST_MOD>2020</SORT_KEY_LAST_MOD>
  <SUBMITTED_ON>2000-01-01</SUBMITTED_ON><DELISTED_ON>2020-02-29</DELISTED_ON>
</INDIVIDUAL>
"""
ENTITY = """
<ENTITY><DATAID>2001</DATAID><VERSIONNUM>1</VERSIONNUM>
  <FIRST_NAME>ZARBAL TRADING\r\n(ZT)</FIRST_NAME><UN_LIST_TYPE>Synthetic</UN_LIST_TYPE>
  <REFERENCE_NUMBER>SYe.001</REFERENCE_NUMBER><LISTED_ON>2001-02-03</LISTED_ON>
  <NAME_ORIGINAL_SCRIPT>شركة زاربال</NAME_ORIGINAL_SCRIPT><COMMENTS1>Made up.</COMMENTS1>
  <LIST_TYPE><VALUE>UN List</VALUE></LIST_TYPE><LAST_DAY_UPDATED><VALUE/></LAST_DAY_UPDATED>
  <ENTITY_ALIAS><QUALITY>a.k.a.</QUALITY><ALIAS_NAME>ZT Company</ALIAS_NAME></ENTITY_ALIAS>
  <ENTITY_ALIAS><QUALITY>f.k.a.</QUALITY><ALIAS_NAME>Old ZT</ALIAS_NAME>
    <NOTE>until 1999</NOTE></ENTITY_ALIAS>
  <ENTITY_ADDRESS><STREET>2 Rush Road</STREET><COUNTRY>Tunisia</COUNTRY></ENTITY_ADDRESS>
  <ENTITY_ADDRESS><STREET>2 Rush Road</STREET><COUNTRY>Tunisia</COUNTRY></ENTITY_ADDRESS>
  <SORT_KEY/><SORT_KEY_LAST_MOD/></ENTITY>
"""
MADE_UP = wrapped(EVERYTHING + individual(1002) + individual(1003, first="Dumrush"), ENTITY)

# Name, bytes, individuals, entities.
LISTS: list[tuple[str, Callable[[], bytes]]] = [
    ("made up", lambda: MADE_UP),
    *((path.name, path.read_bytes) for path in PUBLISHED),
]
# What was counted in the published files, by name.
COUNTS = {
    "made up": (3, 1),
    "un_consolidated_2018-10-29.xml": (703, 390),
    "un_consolidated_2025-08-02.xml": (684, 195),
}
