"""Kills real processes at the worst moments and counts what people then see in Slack."""
