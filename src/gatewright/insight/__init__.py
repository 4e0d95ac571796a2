"""What records say together: roll-ups by the minute, the hour and the day."""
