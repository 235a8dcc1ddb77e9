"""Reports: numbers to something that a person reads."""

from obliq.report.page import render
from obliq.report.pictures import pictures
from obliq.report.shipment import PatchSize, Shipment
from obliq.report.story import Story

__all__ = ["PatchSize", "Shipment", "Story", "pictures", "render"]
