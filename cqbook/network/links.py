"""Emulated slow links: processes in network namespaces, each behind a link of a given bandwidth.

A bridge joins n hosts; both directions of a host's link have a token bucket filter. This needs
Linux, the programs ``ip`` and ``tc``, and the right to make namespaces. Only the new namespaces are
changed, and they are removed at the end.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

_PORT = 29999
_PACKET_SECONDS, _SMALLEST_PACKET, _HEADERS = 5e-4, 3000, 100
_numbers = itertools.count()


@dataclass(frozen=True)
class Star:
    """Hosts around a bridge."""

    prefix: str  # of the namespaces' names
    n: int
    bits_per_second: float | None  # None for links without a limit

    def host(self, rank: int) -> str:
        """Return the name of a host's namespace."""
        return f"{self.prefix}h{rank}"

    def counted(self, rank: int) -> int:
        """Return the bytes that a host's interface has sent so far, with headers."""
        said = subprocess.run(
            f"ip -n {self.host(rank)} -s -j link show dev e0".split(),
            capture_output=True,
            text=True,
            check=True,
        )
        return int(json.loads(said.stdout)[0]["stats64"]["tx"]["bytes"])

    def run(
        self, command: Sequence[str], *, seconds: float, env: dict[str, str] | None = None
    ) -> list[str]:
        """Run a command on all hosts, as the ranks of a torch group; return the output of each.

        Args:
            command: the command; its environment has torch's variables.
            seconds: time limit.
            env: more environment variables.

        Raises:
            RuntimeError: if the command fails on a host or takes too long.
        """
        common = (
            os.environ
            | (env or {})
            | {
                "WORLD_SIZE": str(self.n),
                "MASTER_ADDR": _address(0),
                "MASTER_PORT": str(_PORT),
                "GLOO_SOCKET_IFNAME": "e0",
            }
        )
        processes = [
            subprocess.Popen(
                ["ip", "netns", "exec", self.host(rank), *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=common | {"RANK": str(rank)},
            )
            for rank in range(self.n)
        ]
        try:
            said = [process.communicate(timeout=seconds) for process in processes]
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"{command[0]} took more than {seconds:g} s") from None
        finally:
            for process in processes:
                process.kill()
                process.communicate()
        for rank, (process, (_, err)) in enumerate(zip(processes, said, strict=True)):
            if process.returncode:
                raise RuntimeError(f"rank {rank} failed: {err.strip()[-2000:]}")
        return [out for out, _ in said]


@contextmanager
def star(n: int, bits_per_second: float | None) -> Iterator[Star]:
    """Make n hosts with links of the same bandwidth; they are removed at the end.

    Args:
        n: number of hosts, in [1, 200].
        bits_per_second: bandwidth of each link in each direction; None for no limit.

    Raises:
        ValueError: if a number is out of range.
        RuntimeError: if namespaces cannot be made; :func:`why_not` gives the reason.
    """
    if not 1 <= n <= 200:
        raise ValueError(f"n must be in [1, 200], got {n}")
    if bits_per_second is not None and not 1e5 <= bits_per_second <= 1e11:
        raise ValueError(f"bits_per_second must be in [1e5, 1e11], got {bits_per_second}")
    found = Star(f"cqlib{os.getpid()}n{next(_numbers)}", n, bits_per_second)
    bridge = f"{found.prefix}sw"
    names = [bridge, *map(found.host, range(n))]
    made = []
    try:
        for name in names:
            _do(f"ip netns add {name}")
            made.append(name)
            _do(f"ip -n {name} link set lo up")
        _do(f"ip -n {bridge} link add br0 type bridge")
        _do(f"ip -n {bridge} link set br0 up")
        for rank in range(n):
            host = found.host(rank)
            _do(f"ip -n {host} link add e0 type veth peer name p{rank} netns {bridge}")
            if bits_per_second is not None:
                limit = f"gso_max_size {_packet_bytes(bits_per_second)}"
                _do(f"ip -n {host} link set e0 {limit}")
                _do(f"ip -n {bridge} link set p{rank} {limit}")
            _do(f"ip -n {bridge} link set p{rank} master br0")
            _do(f"ip -n {bridge} link set p{rank} up")
            _do(f"ip -n {host} addr add {_address(rank)}/24 dev e0")
            _do(f"ip -n {host} link set e0 up")
            if bits_per_second is not None:
                _limit(host, "e0", bits_per_second)
                _limit(bridge, f"p{rank}", bits_per_second)
        yield found
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)


def why_not() -> str:
    """Return the reason why links cannot be emulated here; empty if they can."""
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            return f"there is no program {program!r}"
    try:
        with star(1, 1e8):
            return ""
    except RuntimeError as error:
        return str(error)


def _address(rank: int) -> str:
    return f"10.99.0.{rank + 1}"


def _limit(namespace: str, device: str, bits_per_second: float) -> None:
    # An idle link collects tokens for a burst: limit it to about one packet.
    packet = _packet_bytes(bits_per_second)
    _do(
        f"tc -n {namespace} qdisc add dev {device} root tbf rate {bits_per_second:.0f}bit "
        f"burst {packet + _HEADERS}b latency 200ms"
    )


def _packet_bytes(bits_per_second: float) -> int:
    """Return the size of packets for a link: half a millisecond of data, within limits.

    An idle link sends the first packet without delay, so packets must be short. Shorter packets
    cost more CPU time.
    """
    return min(max(_SMALLEST_PACKET, round(bits_per_second / 8 * _PACKET_SECONDS)), 65_536)


def _do(command: str) -> None:
    done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command}: {done.stderr.strip()}")
