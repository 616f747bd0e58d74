"""The scenario: the vocabulary in which a question to the fleet is written, and its reading from YAML."""

from sim.scenario.document import Scenario
from sim.scenario.fleet import Group
from sim.scenario.library import question_of, shipped
from sim.scenario.reading import read
from sim.scenario.training import POOLS, Data
from sim.scenario.writing import json_schema, write

__all__ = ["POOLS", "Data", "Group", "Scenario", "json_schema", "question_of", "read", "shipped", "write"]
