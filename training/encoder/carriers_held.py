"""Documents with room for one more text that are held out: calendars, wiki tables, histories."""

from __future__ import annotations

from carriers import Carrier, Desk
from carriers_more import COLUMNS


def calendar(desk: Desk, text: str | None) -> str:
    """Return appointments as calendars exchange them (RFC 5545), lines not folded."""
    count = desk.rng.randint(1, 4)
    target = desk.rng.randrange(count)
    shown = []
    for at in range(count):
        told = " ".join(desk.sentences("mail", 0, 2))
        told = desk.within(told, text if at == target else None).replace("\n", "\\n")
        shown.append(
            f"BEGIN:VEVENT\nUID:{desk.rng.randint(1000, 99999)}@{desk.write('user')}.example\n"
            f"DTSTART:202503{desk.rng.randint(10, 28)}T093000Z\nSUMMARY:{desk.write('event')}\n"
            f"LOCATION:{desk.write('city')}\nDESCRIPTION:{told}\nEND:VEVENT"
        )
    return "BEGIN:VCALENDAR\nVERSION:2.0\n" + "\n".join(shown) + "\nEND:VCALENDAR"


def wiki_table(desk: Desk, text: str | None) -> str:
    """Return a table in the markup of MediaWiki."""
    picked = desk.rng.sample(COLUMNS, desk.rng.randint(2, 4))
    rows = [[desk.write(name) for _, name in picked] for _ in range(desk.rng.randint(2, 6))]
    row, column = desk.rng.randrange(len(rows)), desk.rng.randrange(len(picked))
    rows[row][column] = desk.within(rows[row][column], text).replace("\n", " ")
    heads = " !! ".join(head for head, _ in picked)
    lines = "\n|-\n".join("| " + " || ".join(cells) for cells in rows)
    return f'{{| class="wikitable"\n|+ {desk.write("title")}\n! {heads}\n|-\n{lines}\n|}}'


def history(desk: Desk, text: str | None) -> str:
    """Return what was changed in a repository, and by whom."""
    count = desk.rng.randint(2, 5)
    target = desk.rng.randrange(count)
    shown = []
    for at in range(count):
        body = desk.within(desk.write("h_dev"), text if at == target else None)
        indented = "\n".join(f"    {line}" for line in body.split("\n"))
        head = f"commit {desk.rng.getrandbits(40):010x}\nAuthor: {desk.write('name')}\n"
        date = f"Date:   2025-0{desk.rng.randint(1, 9)}-17"
        shown.append(f"{head}{date}\n\n    {desk.write('subject')}\n\n{indented}")
    return "\n\n".join(shown)


HELD: dict[str, Carrier] = {"calendar": calendar, "wiki": wiki_table, "history": history}
