"""Assay in pytest: loaded by its entry point wherever Assay is installed, so it imports nothing before it is used."""

from __future__ import annotations
