"""Trains the small set in a process of its own, which may send itself a signal on the way.

A network without batch norm and dropout (``--plain``) takes the same path on any number of
processes; statistics of batch norm are those of a process's share of the batch. ``--normed`` has a
batch norm with statistics of its own, which a recipe may freeze.

Importing takes longer than a training: with ``--fork`` and a socket's number this process imports,
then forks one that trains whenever it is sent arguments.
"""

import argparse
import json
import os
import signal
import socket
import sys
from pathlib import Path

import timm  # noqa: F401 (a training imports it; where it is forked, once for all)
import torch
from torch import nn

from faceproof.data.manifest_files import read_manifest
from faceproof.networks.modules import Network
from faceproof.runs import RunFolder
from faceproof.training import fit
from faceproof.training.recipe import read_recipe
from faceproof.training.run.stopping import TrainingStopped


def plain(_name: str, *, head: object) -> Network:
    """Return a small network without batch norm and dropout."""
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.GroupNorm(2, 8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2)
    )
    last = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))
    return Network(backbone, last, classifier=())


def normed(name: str, *, head: object) -> Network:
    """Return the plain network with a batch norm, as if it had seen other pictures before."""
    network = plain(name, head=head)
    norm = nn.BatchNorm2d(8)
    nn.init.constant_(norm.running_mean, 0.1)
    nn.init.constant_(norm.running_var, 0.5)
    network.backbone.insert(1, norm)
    return network


def helpers() -> list[int]:
    """Return the processes that this one has started, where the system tells."""
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return [int(number) for number in children.read_text().split()] if children.exists() else []


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("overrides", nargs="*")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--normed", action="store_true")
    parser.add_argument("--signal", type=int, default=0)
    parser.add_argument("--at", default="", help="send the signal when this is told")
    parser.add_argument("--helpers-too", action="store_true", help="as a terminal does")
    parser.add_argument("--helpers-alone", action="store_true", help="as a lack of memory does")
    asked = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    fit._try_export = lambda *_: None
    if asked.plain:
        fit.build = plain
    elif asked.normed:
        fit.build = normed

    def told(text: str) -> None:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()
        if asked.signal and text.startswith(asked.at):
            others = helpers() if asked.helpers_too or asked.helpers_alone else []
            for process in others if asked.helpers_alone else [*others, os.getpid()]:
                os.kill(process, asked.signal)

    recipe = read_recipe(asked.folder / "recipe.toml", tuple(asked.overrides))
    manifest = read_manifest(asked.folder / "manifest.parquet")
    try:
        fit.fit(recipe, manifest, RunFolder(asked.run), progress=told)
    except TrainingStopped as stop:
        told(str(stop))
        raise SystemExit(stop.exit_code) from None
    told("the first process goes on alone")


def fork_on_demand(number: int) -> None:
    """Fork a process that trains for each message: its arguments, standard output and error."""
    asked = socket.socket(fileno=number)
    while True:
        message, files, _, _ = socket.recv_fds(asked, 65536, 2)
        if not message:
            return
        process = os.fork()
        if process == 0:
            asked.close()
            for place, file in enumerate(files, 1):
                os.dup2(file, place)
                os.close(file)
            sys.argv[1:] = json.loads(message)
            signal.alarm(900)
            break
        for file in files:
            os.close(file)
        status = os.waitpid(process, 0)[1]
        asked.sendall(str(os.waitstatus_to_exitcode(status)).encode())
    main()


if __name__ == "__main__":
    if sys.argv[1] == "--fork":
        fork_on_demand(int(sys.argv[2]))
    else:
        main()
