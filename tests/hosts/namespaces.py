"""Two hosts on one machine: network namespaces joined by a cable, a launcher in each; not a test itself.

unshare --map-root-user --net --mount python namespaces.py HOW [--lose FILE:LINES] PROGRAM ARGUMENTS...

HOW is a number of processes a host, started by `torchrun`, or a configuration file of `accelerate launch`.
`--lose` pulls the second host's cable and kills it once a file has so many lines. Prints JSON, a host each:
exit code, what was said, seconds, seconds it lived on after the loss, bytes that left it.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HOSTS = {"one": "10.77.0.1", "two": "10.77.0.2"}


def main(how: str, *words: str) -> None:
    file, lines = None, 0
    if words[0] == "--lose":
        name, _, count = words[1].rpartition(":")
        file, lines, words = Path(name), int(count), words[2:]
    cable()
    with tempfile.TemporaryDirectory() as said:
        began = time.monotonic()
        hosts = {}
        for rank, host in enumerate(HOSTS):
            with (Path(said) / host).open("w") as told:
                hosts[host] = subprocess.Popen(
                    ["ip", "netns", "exec", host, sys.executable, "-m", *launcher(how, rank), *words],
                    env=os.environ | {"GLOO_SOCKET_IFNAME": "eth0"},
                    stdout=told,
                    stderr=subprocess.STDOUT,
                )
        lost = lose(file, lines, hosts["two"]) if file else None
        ended = {}
        for host, process in hosts.items():
            process.wait()
            ended[host] = time.monotonic()
        found = [
            {
                "code": process.returncode,
                "said": (Path(said) / host).read_text(),
                "seconds": ended[host] - began,
                "lived_on": None if lost is None else ended[host] - lost,
                "bytes": sent(host),
            }
            for host, process in hosts.items()
        ]
    print(json.dumps(found))


def launcher(how: str, rank: int) -> list[str]:
    """The module that starts a host's processes, and its options."""
    if not how.isdecimal():
        return ["accelerate.commands.launch", f"--config_file={how}", f"--machine_rank={rank}"]
    at = {"nnodes": len(HOSTS), "node_rank": rank, "nproc_per_node": how}
    meeting = {"master_addr": HOSTS["one"], "master_port": 29500}
    return ["torch.distributed.run", *(f"--{key}={value}" for key, value in (at | meeting).items())]


def cable() -> None:
    """A namespace a host, and a pair of network cards that see each other."""
    run("mount", "-t", "tmpfs", "tmpfs", "/run")
    for host in HOSTS:
        run("ip", "netns", "add", host)
    run("ip", "link", "add", "eth0", "netns", "one", "type", "veth", "peer", "name", "eth0", "netns", "two")
    for host, address in HOSTS.items():
        run("ip", "-n", host, "address", "add", f"{address}/24", "dev", "eth0")
        for card in ("lo", "eth0"):
            run("ip", "-n", host, "link", "set", card, "up")


def lose(file: Path, lines: int, host: subprocess.Popen[bytes]) -> float | None:
    """When the second host was lost: its cable first, so that nobody is told; None if it ended before."""
    while not file.is_file() or len(file.read_text().splitlines()) < lines:
        if host.poll() is not None:
            return None
        time.sleep(0.05)
    run("ip", "-n", "two", "link", "set", "eth0", "down")
    for process in run("ip", "netns", "pids", "two").split():
        os.kill(int(process), signal.SIGKILL)
    return time.monotonic()


def sent(host: str) -> int:
    """Bytes that left a host by its cable."""
    cards = run("ip", "netns", "exec", host, "cat", "/proc/net/dev")
    return int(next(line for line in cards.splitlines() if "eth0" in line).split(":")[1].split()[8])


def run(*words: str) -> str:
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main(*sys.argv[1:])
