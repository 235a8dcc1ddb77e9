"""Reports: numbers to something that a person reads."""

from obliq.report.content import PatchSize, Shipment, Story, pictures
from obliq.report.page import render

__all__ = ["PatchSize", "Shipment", "Story", "pictures", "render"]
