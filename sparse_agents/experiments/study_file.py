"""A study's file: YAML of what is trained, and compared with what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparse_agents.errors import ConfigurationError, unknown
from sparse_agents.experiments.study import Agent, Comparison, Evaluations, Study
from sparse_agents.experiments.study_record import StudyRecord
from sparse_agents.runs import read_yaml

KEYS = ("logs", "document", "figures", "record", "evaluations", "defaults", "agents", "comparisons")
EVALUATION_KEYS = ("interval", "episodes", "last")
AGENT_KEYS = ("algo", "policy", "hyperparams")
COMPARISON_KEYS = ("agents", "envs", "seeds", "steps")


def read_study(path: Path) -> Study:
    """A study from its file.

    Raises:
        ConfigurationError: where it says something that is not understood.
    """
    content = _section(str(path), read_yaml(path), KEYS, KEYS)
    all_agents = _named_sections(f"agents of {path}", content["agents"])
    agents = {name: _agent(name, all_agents) for name in all_agents}
    evaluations = Evaluations(**_section("evaluations", content["evaluations"], EVALUATION_KEYS, EVALUATION_KEYS))
    defaults = _section("defaults", content["defaults"], COMPARISON_KEYS)
    comparisons = {
        name: _comparison(name, {**defaults, **settings}, agents, evaluations)
        for name, settings in _named_sections(f"comparisons of {path}", content["comparisons"]).items()
    }
    logs, document, figures, record = (_path(content, name) for name in ("logs", "document", "figures", "record"))
    return Study(path, logs, document, figures, StudyRecord(record), evaluations, comparisons)


def _agent(name: str, all_agents: Mapping[str, Mapping[str, Any]]) -> Agent:
    settings = _section(f"agent {name}", _inherited(name, all_agents, ()), AGENT_KEYS, ("algo", "policy"))
    return Agent(name, settings["algo"], settings["policy"], settings.get("hyperparams", {}))


def _inherited(name: str, all_agents: Mapping[str, Mapping[str, Any]], below: Sequence[str]) -> dict[str, Any]:
    """What an agent says, over what the one it comes from says."""
    if name not in all_agents:
        raise unknown("agent", name, all_agents)
    if name in below:
        raise ConfigurationError(f"Agents come from each other in a circle: {', '.join((*below, name))}.")
    own = dict(_section(f"agent {name}", all_agents[name], ("from", *AGENT_KEYS)))
    base = own.pop("from", None)
    return own if base is None else _over(own, _inherited(base, all_agents, (*below, name)))


def _over(own: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """Dictionaries are merged, everything else replaced."""
    merged = dict(base)
    for key, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping)
        merged[key] = _over(value, base[key]) if both else value
    return merged


def _comparison(
    name: str, content: Mapping[str, Any], agents: Mapping[str, Agent], evaluations: Evaluations
) -> Comparison:
    settings = _section(f"comparison {name}", content, COMPARISON_KEYS, COMPARISON_KEYS)
    if not isinstance(settings["agents"], Mapping) or not settings["agents"]:
        raise ConfigurationError(f"agents of comparison {name}: {settings['agents']!r} has no labels and agents.")
    for label, agent in settings["agents"].items():
        if not isinstance(label, str):
            raise ConfigurationError(f"agents of comparison {name}: {label!r} is no label. Put it into quotes.")
        if agent not in agents:
            raise unknown(f"agent in comparison {name}", agent, agents)
    named = {label: agents[agent] for label, agent in settings["agents"].items()}
    comparison = Comparison(**{**settings, "name": name, "agents": named})
    if comparison.steps % evaluations.interval:
        raise ConfigurationError(
            f"steps of comparison {name}: {comparison.steps} is no multiple of {evaluations.interval}, the interval of "
            "evaluations, and the end would not be evaluated."
        )
    return comparison


def _path(content: Mapping[str, Any], name: str) -> Path:
    if not isinstance(content[name], str):
        raise ConfigurationError(f"{name}: {content[name]!r} is no path.")
    return Path(content[name])


def _section(title: str, content: Any, keys: Sequence[str], needed: Sequence[str] = ()) -> Mapping[str, Any]:
    """Names and values, all of them known, and none that is needed left out.

    Raises:
        ConfigurationError: where it is anything else.
    """
    if not isinstance(content, Mapping):
        raise ConfigurationError(f"{title}: {content!r} is not names and values.")
    for key in content:
        if key not in keys:
            raise unknown(f"key of {title}", key, keys)
    for key in needed:
        if key not in content:
            raise ConfigurationError(f"{title} lacks {key!r}.")
    return content


def _named_sections(title: str, content: Any) -> Mapping[str, Mapping[str, Any]]:
    """Raises ConfigurationError where something has no name, or there is nothing."""
    if not isinstance(content, Mapping) or not content:
        raise ConfigurationError(f"{title}: {content!r} is not names and what they are.")
    for name, section in content.items():
        if not isinstance(name, str):
            raise ConfigurationError(f"{title}: {name!r} is no name. Put it into quotes.")
        if not isinstance(section, Mapping):
            raise ConfigurationError(f"{name} in {title}: {section!r} is not names and values.")
    return content
