import pytest

from guard_samples import policy
from keelmark.core.errors import UsageError
from keelmark.core.policy import Rule
from keelmark.guard import Guard
from keelmark.guard.detectors.personal_data import Detector, Settings
from keelmark.guard.normalise import fold


def labels(text: str, **settings: object) -> list[str]:
    return [hit.label for hit in Detector(Settings(**settings)).find(text)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("BSN 111222333", "NL_BSN"),
        ("PESEL: 44051401359", "PL_PESEL"),
        ("numéro de sécu 2 95 10 99 126 111 93", "FR_NIR"),
        ("DNI 12345678Z", "ES_DNI"),
        ("NIE X-2482300-W", "ES_NIE"),
        ("codice fiscale RCCMNL83S18D969H", "IT_CODICE_FISCALE"),
        ("rccmnl83s18d969h", "IT_CODICE_FISCALE"),
        ("hetu 131052-308T", "FI_HETU"),
        ("fødselsnummer 151086 95088", "NO_FODSELSNUMMER"),
        ("Aadhaar 2341 2341 2346", "IN_AADHAAR"),
        ("my PAN is ACUPA7085R", "IN_PAN"),
        ("CNPJ 16.727.230/0001-97", "BR_CNPJ"),
        ("SIN 123-456-782", "CA_SIN"),
        ("TFN 123 456 782", "AU_TFN"),
        ("身份证 360426199101010071", "CN_RESIDENT_ID"),
        ("주민등록번호 971013-9019902", "KR_RRN"),
        ("kimlik no 17291716060", "TR_TCKN"),
        ("CURP BOXW310820HNERXN09", "MX_CURP"),
        ("NHS 943-476-5870", "UK_NHS"),
        ("NINO AB 12 34 56 C", "UK_NINO"),
        ("S1234567D is hers", "SG_NRIC"),
        ("СНИЛС 112-233-445 95", "RU_SNILS"),
        ("ID number 7503305044089", "ZA_ID"),
    ],
)
def test_national_numbers_in_both_views(text: str, label: str) -> None:
    assert labels(text) == [label]
    assert labels(fold(text)) == [label]


@pytest.mark.parametrize(
    "text",
    [
        "SSN 000-12-3456",
        "PESEL: 44051401358",
        "the number 123456789 and 9434765870 and 44051401359",
        "call the function with 3074185296",
        "4111 1111 1111 1112",
        "DE89 3704 0044 0532 0130 01",
        "localhost 127.0.0.1, mask 255.255.255.0, any 0.0.0.0, ::1, version: 10.2.3.4",
        "std::vector<int> a::b, 12:30:45, chapter 8.8.8.8",
        "price 1,299.00 EUR, 2024-05-06T12:00:00Z, +1234567",
        "x = 4111111111111111.5 * 0.4111111111111111",
        "user@host, @decorator, a@b.py, react@18.2.0",
        "ISBN 9783161484100, EAN 4006381333931, order 100-2003-004",
        "The war was born of fear in 1914.",
    ],
)
def test_look_alikes(text: str) -> None:
    assert [hit for hit in Detector().find(text) if hit.score >= 0.5] == []


def test_private_addresses_score_low() -> None:
    (hit,) = Detector().find("router 192.168.0.1")
    assert hit.label == "IP_ADDRESS"
    assert hit.score < 0.5


def test_regions_make_national_phones_count() -> None:
    text = "Reception 030 901820, key 030901820x"
    assert labels(text) == []
    assert labels(text, regions=("DE",)) == ["PHONE"]


@pytest.mark.parametrize(
    "number",
    [
        *("07835 523564", "01947 319013", "020 7946 0018", "0176/30417988", "(0421) 7109740"),
        *("06 45 50 51 53", "06-10446904", "079 234 56 78", "612 34 56 78", "0412 345 678"),
        *("070-123 45 67", "(11) 91234-5678", "090-1234-5678", "010-1234-5678", "138 1234 5678"),
        *("8 (912) 345-67-89", "0532 123 45 67", "+44 7700 228235"),
    ],
)
def test_phones_that_are_written_like_nothing_else(number: str) -> None:
    assert labels(f"Berg, {number}, upstairs") == ["PHONE"]
    assert labels(f"order {number} was shipped") == [] or number[0] == "+"


@pytest.mark.parametrize(
    "text",
    [
        "Please ring our office on 01633 960122 to book.",
        "Bitte rufen Sie mich unter 0521 975296 an.",
        "Desmond fährt, ruf sie an: 0521 601735",
        "Podem ligar para 3442 1183 22?",
        "Puede llamar a Carmen al 912 345 678.",
        "U kunt ons bellen op 020 624 1111.",
        "Il est joignable au 0471 12 34 56.",
        "Muehlgasse 9, T 0521 384878",
    ],
)
def test_phones_that_somebody_is_asked_to_call(text: str) -> None:
    assert labels(text) == ["PHONE"]


@pytest.mark.parametrize(
    "text",
    [
        "draw: 05 12 23 34 45, bonus 7",
        "file 0815/2024 and 0816/2024",
        "call the function with 3074185296",
        "call me at 10:30 on 06.05.2024",
        "ring buffer of 4096 on 12 34",
        "T 5 and F 12 are sizes",
        "reach 100 000 000 people",
        "a call to malloc(16777216) at 0x0804",
    ],
)
def test_numbers_that_only_look_like_phones(text: str) -> None:
    assert labels(text) == []


def test_settings() -> None:
    assert labels("a@b.org EMP-123456.", extra={"EMPLOYEE": "EMP-[0-9]{6}"}) == [
        "EMAIL",
        "EMPLOYEE",
    ]
    assert labels("a@b.org +44 20 7946 0018", labels=("PHONE",)) == ["PHONE"]
    assert labels("Info@Acme.org jo@acme.org", allow=("info@acme.org",)) == ["EMAIL"]
    assert labels("x@test.org", allow_patterns=(r".*@test\.org",)) == []


@pytest.mark.parametrize(
    "settings",
    [
        {"regions": ("XX",)},
        {"labels": ("NOSE",)},
        {"extra": {"A": "("}},
        {"allow_patterns": ("[",)},
    ],
)
def test_bad_settings_name_the_mend(settings: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=r"personal_data|setting|there is no label .* more\.$"):
        Detector(Settings(**settings))  # type: ignore[arg-type]


def test_a_label_of_ones_own_is_one_that_a_rule_may_name() -> None:
    staff = {"extra": {"STAFF": "S-[0-9]{6}"}, "regions": ["DE"]}
    rule = Rule(id="r", detector="personal_data", action="redact", labels=("STAFF",), config=staff)
    found = Guard(policy(rule)).check("S-123456 a@x.org").findings
    assert [one.label for one in found] == ["STAFF"]


def test_every_hit_not_only_the_first() -> None:
    text = "a@x.org, b@x.org; 4111111111111111 5500005555555559 a@x.org"
    assert labels(text) == ["EMAIL", "EMAIL", "CARD", "CARD", "EMAIL"]


def test_prose_is_held_for_one_word_only() -> None:
    text = "We met in 2024 and agreed on three points that the board will"
    assert text[Detector().open_from(text) :] == "will"
    assert Detector().open_from(text + " ") == len(text) + 1
