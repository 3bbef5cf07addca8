"""What is wrong with this host."""

from __future__ import annotations

from collections.abc import Iterator

from plait.doctor.facts import HostFacts
from plait.doctor.finding import Finding, fine, note, problem
from plait.paths.marks import FWMARK_MASK

HOST = "this host"
_FULL = 0.9
"""Share of the connection table above which it is nearly full."""
_FREE = 4 << 20
"""Bytes that the run directory should have free."""


def judge(host: HostFacts) -> list[Finding]:
    """Everything that can be said of it, problems first."""
    found = [*_kernel(host), *_others(host), *_room(host), *_leaks(host)]
    found += [note("config.note", "config", text) for text in host.notes]
    found.sort(key=lambda finding: finding.severity.value != "problem")
    if not found:
        found.append(fine("host.fine", HOST, f"Linux {host.kernel} has all that the config needs"))
    return found


def _kernel(host: HostFacts) -> Iterator[Finding]:
    for lack in host.lacks:
        yield problem("host.lacks", HOST, lack.text, lack.remedy)
    sysctls = host.sysctls
    if sysctls.get("net/mptcp/path_manager") == "userspace" or sysctls.get("net/mptcp/pm_type") == "1":
        yield problem(
            "host.path-manager",
            HOST,
            "the kernel leaves MPTCP's paths to a program (net.mptcp.pm_type is 1), and plait uses the"
            " kernel's own path manager",
            "sysctl -w net.mptcp.pm_type=0",
        )
    if host.gateway and sysctls.get("net/ipv4/ip_forward") == "0" and not host.udp_direct:
        yield problem(
            "host.forwarding",
            HOST,
            "IPv4 packets are not forwarded, so that whatever of the LAN is not TCP ends here",
            "sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d for the next start",
        )
    if host.serves_tunnel and sysctls.get("net/ipv4/ip_forward") == "0":
        yield problem(
            "host.forwarding",
            HOST,
            "IPv4 packets are not forwarded, so that nothing leaves the tunnel",
            "sysctl -w net.ipv4.ip_forward=1, and in /etc/sysctl.d for the next start",
        )
    timeout = sysctls.get("net/mptcp/blackhole_timeout", "0")
    if host.gateway and host.running and timeout != "0":
        yield problem(
            "host.blackhole-timeout",
            HOST,
            f"after a few lost SYNs the kernel gives MPTCP up for {timeout} s, though plait has set 0",
            "find out who sets net.mptcp.blackhole_timeout",
        )
    for name in host.missing_lans:
        yield problem("host.lan", name, "there is no such interface, or it is down", "see `lan` in [gateway]")
    for name in host.large_receive:
        yield problem(
            "host.offload",
            name,
            "large receive offload joins packets that can't be forwarded in one piece",
            f"ethtool -K {name} lro off",
        )


def _others(host: HostFacts) -> Iterator[Finding]:
    for name, remedy in host.contenders:
        yield note("host.contender", name, "it runs on this host and sets what plait sets", remedy)
    for rule in host.foreign_rules:
        yield note(
            "host.rule",
            HOST,
            f"a policy rule of another program comes before plait's or between them: {rule}",
            "if it catches what plait sends, give it a priority above 899",
        )
    for table in host.foreign_tables:
        yield note(
            "host.nft",
            HOST,
            f"another program's nftables rules take packets or set plait's bits of the mark: {table}",
            f"take plait's LAN interfaces and bits (mask {FWMARK_MASK:#x}) out of them",
        )
    for table in host.flowtables:
        yield note(
            "host.flowtable",
            HOST,
            f"flows are offloaded past the rules: {table}",
            "what is offloaded before plait starts stays outside of it until it ends",
        )
    for endpoint in host.foreign_endpoints:
        yield note(
            "host.endpoint",
            HOST,
            f"an MPTCP endpoint is another program's: {endpoint}",
            "ip mptcp endpoint delete id ID, and find out who made it (NetworkManager, mptcpd)",
        )


def _room(host: HostFacts) -> Iterator[Finding]:
    if host.descriptors is not None and host.descriptors < host.descriptors_wanted:
        yield note(
            "host.descriptors",
            HOST,
            f"a worker may have {host.descriptors} descriptors, and needs {host.descriptors_wanted} for all"
            " the sessions that the config allows",
            "raise LimitNOFILE in the unit, or lower `sessions` in [relay]",
        )
    if host.conntrack is not None:
        used, most = host.conntrack
        if most and used > _FULL * most:
            yield problem(
                "host.conntrack",
                HOST,
                f"the table of connections is nearly full ({used} of {most}): new ones are dropped soon",
                f"sysctl -w net.netfilter.nf_conntrack_max={2 * most}",
            )
    if host.run_dir_free is not None and host.run_dir_free < _FREE:
        yield problem(
            "host.disk",
            HOST,
            f"{host.run_dir} has {host.run_dir_free // 1024} kB left, and plait keeps its state there",
            "make room",
        )


def _leaks(host: HostFacts) -> Iterator[Finding]:
    if not host.gateway:
        return
    if host.udp_direct:
        finding = problem if host.blocks else note
        yield finding(
            "dns.direct",
            HOST,
            'the LAN\'s DNS questions leave directly, not through the exit: udp is "direct"',
            'udp = "tunnel" in [gateway]',
        )
    for resolver in host.resolvers:
        finding = problem if host.blocks else note
        yield finding(
            "dns.leak",
            HOST,
            f"it resolves names for the LAN and asks {resolver} itself, not through the exit",
            "hand the clients a resolver outside by DHCP, or lead this host's own questions into the tunnel",
        )
