"""What a device keeps: its store, the journal of an update, and flash memory."""
