"""Reads and explains what a person configures: `bodega.toml`, ``BODEGA_`` variables, options.

It turns text into the nouns of `bodega.distributions` and into `EdgeSettings`, and says where a text is wrong and what
would be right. The reference page and the schema for editors are generated from the same fields.
It opens no socket and never asks the native core. Start at `read_config`.
"""

from __future__ import annotations

from bodega.config.addresses import listen_address
from bodega.config.advice import advise, advise_settings
from bodega.config.client_tokens import add_client_token
from bodega.config.control_address import control_token, control_url, is_seen_on_the_way, is_this_machine
from bodega.config.control_settings import ControlSettings
from bodega.config.disk_tier import DiskTier
from bodega.config.edge_settings import EdgeSettings
from bodega.config.file import Config, parse_config, read_config
from bodega.config.settings import option_name, settings_from, variable_name
from bodega.config.writing import to_text

__all__ = [
    "Config",
    "ControlSettings",
    "DiskTier",
    "EdgeSettings",
    "add_client_token",
    "advise",
    "advise_settings",
    "control_token",
    "control_url",
    "is_seen_on_the_way",
    "is_this_machine",
    "listen_address",
    "option_name",
    "parse_config",
    "read_config",
    "settings_from",
    "to_text",
    "variable_name",
]
