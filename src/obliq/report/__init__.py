"""Reports: numbers to something that a person reads."""

from obliq.report.content import PatchSize, ReportContext, Shipment, encode_images

__all__ = ["PatchSize", "ReportContext", "Shipment", "encode_images"]
