"""What ``[web]`` must be like: nobody unasked may change a gateway, and nobody outside may ask."""

from __future__ import annotations

from plait.config.model import IPAddress, Web
from plait.config.table import Table
from plait.config.tables import Draft

PASSWORD_LEAST = 8
"""Characters; what is typed on a phone can't be a key, but must not be guessed in a day either."""
TOKEN_LEAST = 16


def check(draft: Draft) -> None:
    """Note what is wrong in the tables concerned."""
    for item in draft.webs:
        _admission(item.value, item.table)
        if "listen" in item.table:
            _reach(item.value, item.table)


def _admission(web: Web, table: Table) -> None:
    asks = table.means("password") or table.means("token")
    if not asks and not web.insecure:
        table.fault(
            "password",
            "is missing: anybody who reaches the page could change modes",
            "`plait keygen` makes one; or insecure = true",
        )
    if asks and web.insecure:
        table.fault("insecure", "is true, and there is a password or a token", "take one of them away")
    password, token = web.password.reveal(), web.token.reveal()
    if password and len(password) < PASSWORD_LEAST:
        table.fault(
            "password", f"has less than {PASSWORD_LEAST} characters", "`plait keygen` makes a good one"
        )
    if token and len(token) < TOKEN_LEAST:
        table.fault("token", f"has less than {TOKEN_LEAST} characters", "`plait keygen` makes a good one")
    if token and not (token.isascii() and token.isprintable() and " " not in token):
        table.fault("token", "must be printable ASCII without spaces", "`plait keygen` makes a good one")
    if token and token == password:
        table.fault("token", "is the same as the password", "a token may only read; make another one")


def _reach(web: Web, table: Table) -> None:
    """The page is for those within, unless its owner says otherwise."""
    for address, _ in web.listen:
        if not web.exposed and not _within(address):
            what = (
                "is every address of this host" if address.is_unspecified else "can be reached from outside"
            )
            table.fault(
                "listen",
                f"{address} {what}",
                "listen on the LAN's address, or write exposed = true if it is to be reached so",
            )


def _within(address: IPAddress) -> bool:
    return address.is_private and not address.is_unspecified
