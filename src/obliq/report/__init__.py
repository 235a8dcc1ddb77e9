"""Reports: numbers to something that a person reads."""

from obliq.report.content import PatchSize, ReportContext, Shipment, pictures

__all__ = ["PatchSize", "ReportContext", "Shipment", "pictures"]
