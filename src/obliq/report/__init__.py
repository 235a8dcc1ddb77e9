"""Reports: numbers to something that a person reads."""

from obliq.report.page import render
from obliq.report.pictures import pictures
from obliq.report.story import Story

__all__ = ["Story", "pictures", "render"]
