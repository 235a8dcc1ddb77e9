"""Reports: numbers to something that a person reads."""

from obliq.report.content import PatchSize, Shipment, Story, pictures

__all__ = ["PatchSize", "Shipment", "Story", "pictures"]
