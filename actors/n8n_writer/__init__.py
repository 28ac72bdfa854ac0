"""The n8n-writer: delivers discovered coins to a webhook, at least once."""
