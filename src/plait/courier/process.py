"""The courier: one process, one loop, no privileges; all UDP of a plait goes through it.

Started by control as ``python -m plait.courier.process FD`` with a unix socket at FD and its listening
sockets inherited. When control is killed it goes on with what it knows, as workers do, until the next
control has it ended and starts another; then sessions begin anew within a round trip. TUN devices are left
to that one as they are, with all that conntrack knows of what goes through them.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import socket
import sys
from ipaddress import ip_network

from plait.courier.away import Away
from plait.courier.channel import Channel
from plait.courier.home import Home
from plait.courier.orders import CourierJob, HomeOrder, TunnelOrder, WayOrder
from plait.courier.pace import Paces
from plait.courier.parcels import Parcels
from plait.courier.tally import Tally
from plait.kernel import logs
from plait.relay import privileges
from plait.relay.loop import IN, Loop
from plait.relay.orders import JsonObject
from plait.wire import noise

log = logging.getLogger("plait.courier")

_DESCRIPTORS = 16384
"""Two thirds of them for associations, at most."""


class Courier:
    """The loop with all that hangs on it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.loop = Loop()
        self.tally = Tally()
        self._aways: dict[str, Away] = {}
        self._home: Home | None = None
        self._parcels: Parcels | None = None
        self._devices: list[int] = []
        """TUN devices."""

    def run(self) -> None:
        """Take the job, then serve until told to end."""
        first = self._channel.first()
        if first is None:
            return
        raw = first["job"]
        assert isinstance(raw, dict)
        job = CourierJob.from_json(raw)
        logging.getLogger().setLevel(logging.DEBUG if job.verbose else logging.INFO)
        privileges.raise_descriptor_limit(_DESCRIPTORS)
        identity = bytes.fromhex(job.identity)
        for order in job.aways:
            self._aways[order.name] = Away(self.loop, order, identity, self._channel.say, self.tally)
        self._devices = [tunnel.tun for tunnel in job.tunnels]
        for tunnel in job.tunnels:
            self._open_tunnel(tunnel)
        paces = None
        if job.home is not None:
            paces = Paces(self.loop, job.home.rates_fd)
            paces.renew(job.home.rates, job.home.cells)
            self._devices += [job.home.tun] if job.home.tun >= 0 else []
            self._home = self._make_home(job.home, paces)
        methods = {order.method for order in job.aways} | ({job.home.method} if job.home else set())
        if methods - {"none"}:
            noise.load()
        self._parcels = Parcels(self.loop, job, self._home, self.tally, self._channel.say, paces)
        self._handle_signals()
        if not privileges.drop(job.uid, job.gid):
            # Said here alone, for all processes: there is one courier.
            log.info(
                "this host does not let us become user %d: going on as root without capabilities", job.uid
            )
        self._channel.attach(self.loop, self._obey, self._control_gone)
        self._channel.say({"ready": True})
        # What exists now stays for good: leave it out of every later collection.
        gc.collect()
        gc.freeze()
        self.loop.run()
        self._channel.say({"tally": self._figures()})

    def _open_tunnel(self, order: TunnelOrder) -> None:
        # Only now: without a tunnel a third of this process's code is not needed.
        from plait.courier.near import Near
        from plait.courier.tun import Tun

        tun = Tun(self.loop, order.tun, self.tally)
        away = self._aways[order.exit]
        away.near = Near(
            self.loop,
            tun,
            self.tally,
            self._channel.say,
            order.exit,
            mtu=order.mtu,
            networks=[ip_network(network) for network in order.networks],
            ship=away.ship,
            echo=away.echo_over,
        )
        tun.taken = away.near.take

    def _make_home(self, order: HomeOrder, paces: Paces) -> Home:
        doors = [socket.socket(fileno=fd) for fd in order.doors]
        inn = None
        if order.tun >= 0:
            from plait.courier.inn import Inn
            from plait.courier.tun import Tun

            tun = Tun(self.loop, order.tun, self.tally)
            subnets = [ip_network(subnet) for subnet in order.subnets]
            inn = Inn(self.loop, tun, self.tally, subnets, order.mtu, paces, self._channel.say)
            inn.networks = tuple(ip_network(network) for network in order.networks)
        return Home(self.loop, doors, order, self.tally, secret=os.urandom(32), inn=inn)

    def _handle_signals(self) -> None:
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, lambda *_: None)
        # Ctrl-C goes to the whole process group; ending us is control's business.
        signal.signal(signal.SIGINT, signal.SIG_IGN)

        def arrived(mask: int) -> None:
            if signal.SIGTERM in os.read(reader, 64):
                self.loop.stop()

        self.loop.register(reader, arrived, IN)

    def _control_gone(self) -> None:
        if not self._devices and self._home is None:
            log.warning("control is gone; ending")
            self.loop.stop()
            return
        log.warning("control is gone; going on until another one comes")
        if not self._devices:
            return
        from plait.kernel.tun import persist

        for device in self._devices:
            with contextlib.suppress(OSError):
                persist(device, True)

    def _obey(self, message: JsonObject) -> None:
        if isinstance(ways := message.get("ways"), dict):
            for name, listed in ways.items():
                # Asked across a reload: of an exit that our config has not, or no longer.
                if name in self._aways:
                    orders = [WayOrder(**way) for way in listed]
                    self._aways[name].ways(orders)
                    if self._parcels is not None:
                        self._parcels.ways(name, orders)
        if isinstance(paces := message.get("pace"), dict):
            for path, seconds in paces.items():
                for away in self._aways.values():
                    away.pace(path, float(seconds))
        if isinstance(paths := message.get("burst"), list):
            for path in paths:
                for away in self._aways.values():
                    away.burst(path)
        if isinstance(paths := message.get("train"), list):
            for path in paths:
                for away in self._aways.values():
                    away.train(path)
        if isinstance(terms := message.get("terms"), dict):
            for away in self._aways.values():
                away.terms({path: (str(mode), weight, up) for path, (mode, weight, up) in terms.items()})
        if self._parcels is not None:
            self._parcels.obey(message)
        if "ask" in message:
            self._channel.say({"answer": message["ask"], "tally": self._figures()})

    def _figures(self) -> JsonObject:
        tally = self.tally
        return {
            "pid": os.getpid(),
            "sent": tally.sent,
            "received": tally.received,
            "strangers": dict(tally.strangers),
            "guests": sum(guest.confirmed for guest in self._home.guests.values()) if self._home else 0,
            "udp": self._parcels.figures() if self._parcels else {},
            "tunnels": [told for away in self._aways.values() if (told := away.figures()) is not None],
        }


def main() -> int:
    """The process."""
    logs.begin(logs.chosen(), logging.WARNING, "%(levelname)s %(name)s[%(process)d]: %(message)s")
    courier = Courier(Channel(socket.socket(fileno=int(sys.argv[1]))))
    try:
        courier.run()
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
