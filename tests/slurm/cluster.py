"""A throw-away Slurm on this machine: a controller and a few nodes on the loopback, without systemd or accounting.

`python -m tests.slurm.cluster DIR` starts one to try things with, says how to talk to it, and stops it at Ctrl-C.
"""

import getpass
import os
import platform
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

COMMANDS = ("munged", "slurmctld", "slurmd", "sbatch")
CONTROLLER_PORT = 26817
SECONDS_TO_START = 60.0

# A job that is queued again waits until its credential has expired: 5 seconds here, 120 by default.
CONFIGURATION = """\
ClusterName=normlab
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
KillWait=8
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes=n[0-{last}] Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000 State=UNKNOWN"


def missing_commands() -> list[str]:
    """Return which of Slurm's and munge's commands are not installed here."""
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return [command for command in COMMANDS if shutil.which(command, path=path) is None]


@contextmanager
def slurm(folder: Path, nodes: int = 2) -> Iterator[dict[str, str]]:
    """Run a cluster of one-core nodes with its files in a folder; give the environment to talk to it with."""
    host = platform.node().split(".")[0]
    ports = range(CONTROLLER_PORT + 1, CONTROLLER_PORT + 1 + nodes)
    told = CONFIGURATION.format(
        host=host,
        port=CONTROLLER_PORT,
        user=getpass.getuser(),
        folder=folder,
        nodes="\n".join(NODE.format(number=number, host=host, port=port) for number, port in enumerate(ports)),
        last=nodes - 1,
    )
    (folder / "state").mkdir(parents=True)
    (folder / "slurm.conf").write_text(told)
    (folder / "cgroup.conf").write_text("IgnoreSystemd=yes\n")
    folder.chmod(0o755)  # munge refuses a socket that others cannot reach
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(secrets.token_bytes(128))
    environment = {
        **os.environ,
        "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin",
        "SLURM_CONF": str(folder / "slurm.conf"),
    }
    files = {"key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log", "seed-file": "munge.seed"}
    options = [f"--{option}={folder / name}" for option, name in {**files, "socket": "munge.socket"}.items()]
    try:
        subprocess.run(["munged", "--force", *options], env=environment, check=True)
        subprocess.run(["slurmctld", "-c"], env=environment, check=True)
        for number in range(nodes):
            (folder / f"spool.n{number}").mkdir()
            subprocess.run(["slurmd", "-N", f"n{number}"], env=environment, check=True)
        _wait_until_idle(nodes, environment)
        yield environment
    finally:
        subprocess.run(["scancel", f"--user={getpass.getuser()}"], env=environment, check=False)
        for noted in folder.glob("*.pid"):
            _end(int(noted.read_text()))


def _wait_until_idle(nodes: int, environment: dict[str, str]) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end:
        told = subprocess.run(
            ["sinfo", "--noheader", "--Node", "--states=idle", "--format=%N"],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if len(set(told.stdout.split())) == nodes:
            return
        time.sleep(0.3)
    raise TimeoutError(
        f"the nodes were not idle within {SECONDS_TO_START:.0f} seconds: see {environment['SLURM_CONF']}"
    )


def _end(process: int) -> None:
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    with slurm(Path(sys.argv[1]).absolute()) as started:
        print(f"export SLURM_CONF={started['SLURM_CONF']}  # then sinfo, squeue, sbatch; Ctrl-C here stops it")
        signal.sigwait({signal.SIGINT})
