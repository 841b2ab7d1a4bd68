"""`TRAINABLE`: trainable parameters, learning rates by layer, and batch norm statistics."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from faceproof.errors import TrainingError
from faceproof.tables import choose

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.nn.modules.batchnorm import _BatchNorm

    from faceproof.networks.modules import Network


def _all_parameters(network: Network) -> list[nn.Parameter]:
    return list(network.parameters())


def _head_parameters(network: Network) -> list[nn.Parameter]:
    return list(network.head.parameters())


def _head_and_norm_parameters(network: Network) -> list[nn.Parameter]:
    """Return the head, and all vectors of the backbone's normalising layers."""
    norms = [m for m in network.backbone.modules() if "norm" in type(m).__name__.lower()]
    return _head_parameters(network) + [p for norm in norms for p in norm.parameters(recurse=False)]


TRAINABLE: Mapping[str, Callable[[Network], list[nn.Parameter]]] = {
    "all": _all_parameters,
    "head": _head_parameters,
    "head_and_norms": _head_and_norm_parameters,
}


def set_trainable(network: Network, what: str, *, frozen_stages: int = 0) -> int:
    """Make only the parameters of ``TRAINABLE[what]`` trainable and return their number.

    Of these the first ``frozen_stages`` stages of the backbone stay frozen, and cost no backward
    pass. Freezing weights does not freeze batch norm's running statistics: in training mode they
    change even while the backbone is frozen.

    Raises:
        UnknownChoiceError: ``what`` is not in `TRAINABLE`.
        TrainingError: the backbone has no more than ``frozen_stages`` stages.
    """
    chosen = choose(TRAINABLE, what, what="part to train")(network)
    if frozen_stages:
        frozen = _first_parameters(network, frozen_stages)
        chosen = [parameter for parameter in chosen if id(parameter) not in frozen]
    network.requires_grad_(False)  # noqa: FBT003
    for parameter in chosen:
        parameter.requires_grad_()
    return sum(parameter.numel() for parameter in chosen)


def _first_parameters(network: Network, count: int) -> set[int]:
    """Return the ids of the parameters in the first ``count`` stages of the backbone."""
    stages = _stages(network.backbone, "backbone")
    if count >= len(stages):
        names = ", ".join(stage.rpartition(".")[2] for stage in stages)
        raise TrainingError(
            f"network.frozen_stages is {count}, but the backbone has {len(stages)} stages ({names})"
            " and one at least must learn; network.trainable = 'head' freezes them all"
        )
    return {
        id(parameter)
        for name, parameter in network.named_parameters()
        if _stage_of(name, stages) in stages[:count]
    }


def parameter_groups(
    network: Network,
    *,
    learning_rate: float,
    weight_decay: float,
    backbone_factor: float = 1.0,
    layer_decay: float = 1.0,
) -> list[dict[str, Any]]:
    """Return an optimiser's groups with ``name``, ``params``, ``lr`` and ``weight_decay``.

    The head has ``learning_rate``, the backbone's last stage ``backbone_factor`` times that, and
    each earlier stage ``layer_decay`` times the rate of the next. Vectors (biases, scales of norms)
    are not decayed. Frozen parameters are in their groups, so that they train once they are
    unfrozen.

    Source:
        Layer-wise decay: J. Howard, S. Ruder, 2018, arXiv:1801.06146.
    """
    stages = _stages(network.backbone, "backbone")
    rates = {
        stage: learning_rate * backbone_factor * layer_decay**depth
        for depth, stage in enumerate(reversed(stages))
    }
    rates["head"] = learning_rate
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in network.named_parameters():
        stage = _stage_of(name, stages)
        vector = parameter.ndim < 2
        title = f"{stage}.{'vectors' if vector else 'matrices'}"
        decay = 0.0 if vector else weight_decay
        group = {"name": title, "params": [], "lr": rates[stage], "weight_decay": decay}
        groups.setdefault(title, group)["params"].append(parameter)
    return list(groups.values())


def _stages(module: nn.Module, name: str) -> list[str]:
    """Return the names of the consecutive stages, in order, without wrapper modules."""
    parts = [
        (f"{name}.{child_name}", child)
        for child_name, child in module.named_children()
        if any(True for _ in child.parameters())
    ]
    if len(parts) == 1:
        return _stages(parts[0][1], parts[0][0])
    return [part for part, _ in parts] or [name]


def _stage_of(parameter: str, stages: list[str]) -> str:
    """Return the parameter's stage; direct parameters of the backbone are in the first."""
    if parameter.startswith("head."):
        return "head"
    return next((stage for stage in stages if parameter.startswith(f"{stage}.")), stages[0])


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Recompute all running statistics as the average over batches; return their number.

    The batches, float [N, 3, H, W] each, run in training mode but without gradient and with dropout
    off, as at inference. Dropout before a batch norm, as in our head, inflates the variance that
    training records. Weights and modes do not change. Two thousand pictures in batches of 64 are
    enough.

    Source:
        Statistics recomputed after training: B. Wu, J. Johnson, 2021, arXiv:2105.07576, section 3.
        Dropout and batch norm: X. Li et al., 2018, arXiv:1801.05134.

    Raises:
        TrainingError: there was no batch, or one with a single picture. The statistics are
            unchanged.
    """
    import torch

    seen = 0
    with torch.no_grad(), _average_over_batches(network):
        for batch in batches:
            _check(batch)
            network(batch)
            seen += 1
        if not seen:
            raise TrainingError("batch norm statistics need at least one batch; got 0")
    return seen


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any batch norm in the module keeps running statistics."""
    return bool(_batch_norms(module))


def freeze_batch_norm(module: nn.Module) -> int:
    """Freeze the running statistics of batch norms and return the number of these.

    They stay frozen until ``train()`` is called again. Their scales and shifts stay trainable.
    """
    norms = _batch_norms(module)
    for norm in norms:
        norm.eval()
    return len(norms)


def set_momentum(module: nn.Module, momentum: float) -> None:
    """Set the weight of each new batch in the running statistics to ``momentum``.

    Keras' ``momentum`` is 1 minus this one: its default of 0.99 is 0.01 here.
    """
    for norm in _batch_norms(module):
        norm.momentum = momentum


def _check(batch: Tensor) -> None:
    if len(batch) < 2:
        raise TrainingError(
            "batch norm statistics need batches of 2 pictures or more; drop the short last one"
        )


@contextmanager
def _average_over_batches(network: nn.Module) -> Iterator[None]:
    """Average over all batches (momentum None), then restore modes and momenta.

    After an error the statistics are restored too.
    """
    norms = _batch_norms(network)
    modes = {module: module.training for module in network.modules()}
    momenta = [norm.momentum for norm in norms]
    before = [{name: kept.clone() for name, kept in norm.named_buffers()} for norm in norms]
    network.eval()
    for norm in norms:
        norm.train()
        norm.reset_running_stats()
        norm.momentum = None
    try:
        yield
    except BaseException:
        for norm, buffers in zip(norms, before, strict=True):
            norm.load_state_dict(buffers, strict=False)
        raise
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training


def _batch_norms(network: nn.Module) -> list[_BatchNorm]:
    from torch.nn.modules.batchnorm import _BatchNorm

    return [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
