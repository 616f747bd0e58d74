"""What the models that users bring are called, and where their files lie.
Without torch: a plan knows by these names which models are not trained."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from sim.scenario import Group, Scenario

SERVER = "server"


def name_of(group: Group) -> str:
    """The model of a group, which may itself be called server."""
    return f"fleet.{group.group}"


def server_names(scenario: Scenario) -> tuple[str, ...]:
    """The servers' models, in order: `server` where there is one, else models.NAME."""
    names = tuple(scenario.server_models)
    return (SERVER,) if len(names) == 1 else tuple(f"models.{name}" for name in names)


def files_of(scenario: Scenario) -> dict[str, str]:
    """The files of the models that are brought, by name."""
    servers = zip(server_names(scenario), scenario.server_models.values(), strict=True)
    found = {name: model.file for name, model in servers}
    found |= {name_of(group): group.model.file for group in scenario.fleet}
    return {name: file for name, file in found.items() if file is not None}


def peers_in(scenario: Scenario) -> dict[str, tuple[int, int]]:
    """The servers' models that are frozen ones of clients, by name: whose, as the places of group and
    variant."""
    places = [group.group for group in scenario.fleet]
    servers = zip(server_names(scenario), scenario.server_models.values(), strict=True)
    return {
        name: (places.index(model.of_group), model.variant)
        for name, model in servers
        if model.of_group is not None
    }


def fronts_in(scenario: Scenario) -> dict[str, int]:
    """The servers' models that see a client's features, by name: the place of its group, whose one model it
    is."""
    places = [group.group for group in scenario.fleet]
    servers = zip(server_names(scenario), scenario.server_models.values(), strict=True)
    return {name: places.index(model.features_of) for name, model in servers if model.features_of is not None}


def features_for(name: str) -> str:
    """Where a plan has what a model of the servers sees in place of samples."""
    return f"features for {name}"


def libraries_of(scenario: Scenario) -> dict[str, str]:
    """The versions of the libraries that only brought models need, by name; empty where none does."""
    servers = (model.family for model in scenario.server_models.values())
    families = [*servers, *(group.model.family for group in scenario.fleet)]
    needed = {
        "onnxruntime": any(file.endswith(".onnx") for file in files_of(scenario).values()),
        "timm": any(family.startswith("timm:") for family in families),
    }
    return {name: _version(name) for name, is_needed in needed.items() if is_needed}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""  # `agents.checks` says so
