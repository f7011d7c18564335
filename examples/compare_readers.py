"""How columns of cells as people write them are read: anymax beside pandas, and skrub where it is installed.

Prints the two tables of docs/reading-tables.md. Each column holds the cells of a case, repeated to forty rows. "right"
is the meaning that the case names, "text" a column that was left as words; what else stands there was taken for it.
"""

import io
import warnings

import numpy as np
import pandas as pd
from charset_normalizer import from_bytes

from anymax.lab.data.columns import read_column

ROWS = 40
# what the cells are, the cells, what they mean: numbers, days, times in hours, or "words" where they are no quantity
CASES = [
    ("currency", ["$1,234.50", "$7.25"], [1234.5, 7.25]),
    ("currency behind", ["12,50 €", "3,10 €"], [12.5, 3.1]),
    ("currency code", ["USD 5", "USD 7.5"], [5, 7.5]),
    ("per cent", ["12 %", "0.8%"], [12, 0.8]),
    ("unit", ["3 kg", "12.5kg"], [3, 12.5]),
    ("units that differ", ["3 kg", "500 g"], "words"),
    ("thousands, comma", ["51,257", "1,234,567"], [51257, 1234567]),
    ("thousands, space", ["51 257", "1 234 567"], [51257, 1234567]),
    ("thousands, apostrophe", ["51'257", "1'234'567"], [51257, 1234567]),
    ("decimal comma", ["1.234,50", "3,1"], [1234.5, 3.1]),
    ("brackets", ["(12.50)", "3.10"], [-12.5, 3.1]),
    ("another minus", ["\u221212.5", "3"], [-12.5, 3]),
    ("exponent", ["1e5", "2E-3"], [1e5, 2e-3]),
    ("hexadecimal", ["0x1F", "0x2A"], "words"),
    ("list", ["1,2,3", "2,3"], "words"),
    ("range", ["1-2", "3-4"], "words"),
    ("version", ["1.2.10", "2.0.4"], "words"),
    ("address", ["192.168.1.1", "10.0.0.1"], "words"),
    ("code with a zero", ["00501", "94110"], "words"),
    ("day-Mon-year", ["12-Jan-2024", "31-Dec-2023"], ["2024-01-12", "2023-12-31"]),
    ("eight digits", ["20240112", "20231231"], ["2024-01-12", "2023-12-31"]),
    ("day first", ["12/01/2024", "31/12/2023"], ["2024-01-12", "2023-12-31"]),
    ("month first", ["01/12/2024", "12/31/2023"], ["2024-01-12", "2023-12-31"]),
    ("day or month first", ["01/02/2024", "03/04/2024"], "words"),
    ("points", ["12.01.2024", "31.12.2023"], ["2024-01-12", "2023-12-31"]),
    ("ISO week", ["2024-W02", "2023-W52"], ["2024-01-08", "2023-12-25"]),
    ("day of ISO week", ["2024-W02-5", "2023-W52-7"], ["2024-01-12", "2023-12-31"]),
    ("date and time", ["12/31/2023 1:15 PM", "01/12/2024 2:00 AM"], ["2023-12-31", "2024-01-12"]),
    ("time zone", ["2024-01-12T11:30+01:00", "2023-12-31T12:00+01:00"], ["2024-01-12", "2023-12-31"]),
    ("day of the week", ["Fri, 12 Jan 2024", "Sun, 31 Dec 2023"], ["2024-01-12", "2023-12-31"]),
    ("Unix's own date", ["Fri Jan 12 11:30:00 2024", "Sun Dec 31 12:00:00 2023"], ["2024-01-12", "2023-12-31"]),
    ("ordinal", ["Jan 12th, 2024", "Dec 31st, 2023"], ["2024-01-12", "2023-12-31"]),
    ("word for missing", ["12.5", "N/A"], [12.5, np.nan]),
    ("abbreviated", ["1.2M", "850k"], [1.2e6, 850e3]),
    ("bounds", ["<5", "12"], "words"),
    ("telephone", ["+49 30 1234567", "+49 30 7654321"], "words"),
    ("time", ["11:30", "13:15"], [11.5, 13.25]),
    ("time, half days", ["11:30 AM", "1:15 PM"], [11.5, 13.25]),
]
LANGUAGES = [
    ("German", ["Köln", "Zürich", "Düsseldorf"], ["cp1252", "mac_roman"]),
    ("Spanish", ["España", "Málaga", "Córdoba"], ["cp1252"]),
    ("prices", ["12 €", "“15 €”"], ["cp1252"]),
    ("Polish", ["Łódź", "Kraków", "Gdańsk"], ["cp1250"]),
    ("Russian", ["Москва", "Казань", "Новосибирск"], ["cp1251", "koi8_r"]),
    ("Greek", ["Αθήνα", "Θεσσαλονίκη", "Πάτρα"], ["cp1253"]),
    ("Japanese", ["東京", "大阪市", "データ"], ["shift_jis"]),
    ("Chinese", ["北京", "上海", "广州市"], ["gb18030"]),
]


def of_anymax(cells):
    column = read_column("x", cells)
    if column.info.kind == "number":
        return column.values.tolist()
    if column.info.kind == "date":
        days = pd.to_datetime(-column.values["x\0age"], unit="D")
        return days.dt.strftime("%Y-%m-%d").tolist()
    return "words"


def of_pandas(cells):
    """What `read_csv` makes of numbers, and `to_datetime` of what it leaves as text."""
    read = pd.read_csv(io.StringIO(pd.DataFrame({"x": cells}).to_csv(index=False)), thousands=",")["x"]
    if pd.api.types.is_numeric_dtype(read):
        return read.tolist()
    try:
        return _days(pd.to_datetime(read))
    except (ValueError, TypeError):
        return "words"


def of_skrub(cells):
    from skrub import Cleaner

    read = Cleaner(parse_numbers=True).fit_transform(pd.DataFrame({"x": cells}))["x"]
    if pd.api.types.is_numeric_dtype(read):
        return read.tolist()
    return _days(read) if pd.api.types.is_datetime64_any_dtype(read) else "words"


def _days(read):
    return read.dt.strftime("%Y-%m-%d").tolist()


def judged(found, meant):
    """ "right", "text" where words were left that are none, or the first value that was taken for it."""
    if found == "words":
        return "right" if meant == "words" else "text"
    # some take a time of day for that of today
    wrong = "wrong: a day" if isinstance(found[0], str) else f"wrong: {found[0]:g}"
    if meant == "words" or isinstance(found[0], str) != isinstance(meant[0], str):
        return wrong
    if isinstance(meant[0], str):
        return "right" if found[:2] == meant else wrong
    return "right" if np.allclose(found[:2], meant, equal_nan=True) else wrong


def readers():
    found = {"anymax": of_anymax, "pandas": of_pandas}
    try:
        import skrub  # noqa: F401
    except ImportError:
        return found
    return {**found, "skrub": of_skrub}


def table(head, rows):
    print("|", " | ".join(head), "|")
    print("|" + "---|" * len(head))
    for row in rows:
        print("|", " | ".join(row), "|")


def main():
    warnings.simplefilter("ignore")
    read = readers()
    rows = []
    for name, cells, meant in CASES:
        column = pd.Series(cells * (ROWS // 2))
        rows.append([name, " · ".join(cells), *(judged(reader(column), meant) for reader in read.values())])
    rights = [str(sum(row[i] == "right" for row in rows)) for i in range(2, 2 + len(read))]
    table(["cells are", "cells", *read], [*rows, [f"right, of {len(rows)}", "", *rights]])
    print()
    rows = []
    for language, words, encodings in LANGUAGES:
        text = "name,kind\n" + "".join(f"{words[i % len(words)]},{'ab'[i % 2]}\n" for i in range(ROWS))
        for encoding in encodings:
            raw = text.encode(encoding)
            best = from_bytes(raw).best()
            guess = "none" if best is None else best.encoding
            right = best is not None and str(best) == text
            fallback = raw.decode("cp1252", errors="replace") == text
            rows.append(
                [language, encoding, "right" if fallback else "wrong", f"{guess}: {'right' if right else 'wrong'}"]
            )
    table(["text", "written in", "cp1252", "charset-normalizer"], rows)


if __name__ == "__main__":
    main()
