"""The scenario: the vocabulary in which a question to the fleet is written, and its reading from YAML."""

from sim.scenario.library import question_of, shipped
from sim.scenario.schema.document import Scenario
from sim.scenario.schema.fleet import Group
from sim.scenario.schema.training import POOLS, Data
from sim.scenario.text.reading import read
from sim.scenario.text.writing import json_schema, write

__all__ = ["POOLS", "Data", "Group", "Scenario", "json_schema", "question_of", "read", "shipped", "write"]
