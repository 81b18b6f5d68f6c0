"""becas-ft: turns the daily decisions of moderation bots into better local models."""
