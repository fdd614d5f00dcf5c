"""What the names of columns tell: bare values in tables, judged with and without them.

    python bench/batch_names.py [--json] [--show]

Valid numbers of persons, one to a cell, under names of columns as people write them (three ways of
writing: `passport_no`, `passportNo`, `Passport No`); and 500 rows of 44 columns in which there is
nothing personal: orders, times, prices, hashes, versions, measurements. Printed is how many values
are found, and how many cells of the second table are false alarms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import uuid
from collections import Counter
from pathlib import Path

from keelmark.app.batch.values import heading
from keelmark.guard import Guard

ROWS = 500
KNOWN = Path(__file__).parents[1] / "tests/unit/guard/detectors/known_numbers.txt"
NAMES = {  # label of the numbers that are known to be valid: the name of a column
    "US_ROUTING": "routing number", "UK_NHS": "nhs number", "UK_UTR": "utr",
    "DE_TAX_ID": "steuer id", "DE_ID_CARD": "ausweis nr", "AT_SVNR": "svnr",
    "BE_NN": "rijksregisternummer", "BR_CPF": "cpf", "BR_CNPJ": "cnpj", "CA_SIN": "sin",
    "AU_TFN": "tfn", "CL_RUT": "rut", "CO_NIT": "nit", "CZ_RC": "rodne cislo", "DK_CPR": "cpr",
    "EE_IK": "isikukood", "ES_DNI": "dni", "ES_NIE": "nie", "FI_HETU": "hetu",
    "FR_NIR": "numero securite sociale", "FR_NIF": "numero fiscal", "GR_AFM": "afm",
    "GR_AMKA": "amka", "HR_OIB": "oib", "ID_NIK": "nik", "IE_PPS": "pps number",
    "IL_ID": "teudat zehut", "IN_AADHAAR": "aadhaar", "IN_GSTIN": "gstin",
    "IT_CODICE_FISCALE": "codice fiscale", "IT_PARTITA_IVA": "partita iva",
    "JP_MY_NUMBER": "my number", "KR_RRN": "rrn", "MX_CURP": "curp", "MX_RFC": "rfc",
    "NL_BSN": "bsn", "NO_FODSELSNUMMER": "fodselsnummer", "NZ_IRD": "ird number",
    "PL_NIP": "nip", "PL_PESEL": "pesel", "PT_NIF": "nif", "RO_CNP": "cnp", "RU_INN": "inn",
    "RU_SNILS": "snils", "SE_PERSONNUMMER": "personnummer", "TH_ID": "thai id",
    "TR_TCKN": "tc kimlik no", "US_NPI": "npi", "US_DEA": "dea number", "VIN": "vin",
    "ZA_ID": "sa id number", "IMEI": "imei",
}  # fmt: skip
MORE = {  # values that only their name tells from any other number
    "ssn": ("536228726", "219099999"),
    "passport no": ("C01X00T47", "532107891", "P4366918"),
    "date of birth": ("1980-03-12", "12/03/1980", "3 March 1980"),
    "birth date": ("1975-11-02",),
    "home phone": ("030901820", "2025550143", "02079460018"),
    "mobile": ("015123456789", "07700900123"),
    "account number": ("001234567890", "31926819"),
    "driver license": ("D1234567", "S530460090"),
    "medical record number": ("00482913", "7781203"),
    "swift code": ("DEUTDEFF500", "BNPAFRPP"),
    "password": ("hunter2!x", "Tr0ub4dor&3"),
    "api key": ("9f8a7b6c5d4e3f2a1b0cz",),
    "tax id": ("912-70-1234", "36574261809"),
    "insurance number": ("QQ123456C", "65170839J003"),
}


def number(rng: random.Random, digits: int) -> str:
    return str(rng.randrange(10 ** (digits - 1), 10**digits))


def benign(rng: random.Random) -> dict[str, str]:
    def digits(count: int) -> str:
        return number(rng, count)

    day = f"20{rng.randint(10, 26)}-{rng.randint(1, 12):02}-{rng.randint(1, 28):02}"
    clock = f"{rng.randint(0, 23):02}:{rng.randint(0, 59):02}:{rng.randint(0, 59):02}"
    sha = hashlib.sha1(digits(9).encode()).hexdigest()
    return {
        "order_id": digits(9), "orderNumber": digits(10), "invoice_no": digits(8),
        "product code": f"{rng.choice('ABCDX')}{digits(7)}", "sku": f"SKU-{digits(8)}",
        "ean": digits(13), "isbn": f"978{digits(10)}", "timestamp": f"17{digits(8)}",
        "created_at": f"{day}T{clock}Z", "updatedAt": f"{day} {clock}", "ship_date": day,
        "price": f"{rng.randint(1, 9999)}.{rng.randint(0, 99):02}", "quantity": digits(4),
        "revenue": digits(9), "latitude": f"52.{digits(7)}", "longitude": f"13.{digits(7)}",
        "version": f"{rng.randint(0, 9)}.{rng.randint(0, 30)}.{rng.randint(0, 99)}",
        "commit": sha, "checksum": sha[:16], "request_id": str(uuid.UUID(int=rng.getrandbits(128))),
        "session": str(uuid.UUID(int=rng.getrandbits(128))), "population": digits(8),
        "score": f"0.{digits(12)}", "id": digits(9), "row number": digits(7), "year": "2024",
        "tracking_no": digits(12), "batch_no": digits(8), "serial": f"SN{digits(10)}",
        "max_tokens": digits(4), "token_count": digits(7), "bytes": digits(11),
        "duration_ms": digits(7), "port": digits(5), "build number": digits(9),
        "file name": f"IMG_{digits(8)}.jpg", "colour": f"#{sha[:6]}", "department": "Sales",
        "comment": f"shipped {digits(3)} units on {day}", "temperature": f"{rng.random() * 40:.3f}",
        "key": f"item_{digits(4)}_name", "passport required": rng.choice(("yes", "no")),
        "phone model": f"GT-I{digits(4)}", "license": rng.choice(("MIT", "Apache-2.0")),
    }  # fmt: skip


def written(name: str) -> tuple[str, str, str]:
    first, *rest = name.split()
    return "_".join([first, *rest]), first + "".join(map(str.title, rest)), name.title()


def values() -> list[tuple[str, str]]:
    known = [line.split(None, 1) for line in KNOWN.read_text("utf-8").splitlines()]
    cells = [(NAMES[line[0]], line[1].strip()) for line in known if line and line[0] in NAMES]
    cells += [(name, value) for name, several in MORE.items() for value in several]
    return [(way, value) for name, value in cells for way in written(name)]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--show", action="store_true", help="what is missed, and false alarms")
    given = parser.parse_args()
    rng, guard = random.Random(7), Guard()
    tables = {"bare values": values()}
    tables["nothing personal"] = [cell for _ in range(ROWS) for cell in benign(rng).items()]
    results: dict[str, dict[str, int]] = {}
    for title, cells in tables.items():
        alone = [bool(guard.check(value).findings) for _, value in cells]
        named = [bool(guard.check(v, before=heading(name)).findings) for name, v in cells]
        results[title] = {"cells": len(cells), "alone": sum(alone), "named": sum(named)}
        if given.show:
            told = Counter(
                name
                for (name, _), found in zip(cells, named, strict=True)
                if found == (title != "bare values")
            )
            print(title, dict(told.most_common(40)))
    if given.json:
        print(json.dumps(results))
        return
    for title, one in results.items():
        print(f"{title:18} {one['cells']:6,} cells: found in {one['alone']:5,} by themselves, "
              f"in {one['named']:5,} under their names")  # fmt: skip


if __name__ == "__main__":
    main()
