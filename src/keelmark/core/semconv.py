"""OpenTelemetry names used by Keelmark, in one place because the conventions still move.

Source: OpenTelemetry semantic conventions for generative AI (all "Development"), last full text
in tag v1.41.1, since then in open-telemetry/semantic-conventions-genai.
"""

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
CONVERSATION = "gen_ai.conversation.id"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
REQUEST_SEED = "gen_ai.request.seed"
REQUEST_CHOICES = "gen_ai.request.choice.count"
REQUEST_TEMPERATURE = "gen_ai.request.temperature"
REQUEST_TOP_P = "gen_ai.request.top_p"
REQUEST_TOP_K = "gen_ai.request.top_k"
REQUEST_MAX_TOKENS = "gen_ai.request.max_tokens"
REQUEST_STOP = "gen_ai.request.stop_sequences"
REQUEST_FREQUENCY_PENALTY = "gen_ai.request.frequency_penalty"
REQUEST_PRESENCE_PENALTY = "gen_ai.request.presence_penalty"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
RESPONSE_FINISH = "gen_ai.response.finish_reasons"
RESPONSE_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
USAGE_INPUT = "gen_ai.usage.input_tokens"
USAGE_OUTPUT = "gen_ai.usage.output_tokens"
OUTPUT_TYPE = "gen_ai.output.type"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"

# Ours, under our own prefix as the conventions ask.
MODEL_DIGEST = "keelmark.model.digest"
POLICY_DIGEST = "keelmark.policy.digest"
LOAD_MODE = "keelmark.model.load_mode"
ATTESTED = "keelmark.model.attested"

METRIC_REQUEST_DURATION = "gen_ai.server.request.duration"
METRIC_FIRST_TOKEN = "gen_ai.server.time_to_first_token"
METRIC_PER_TOKEN = "gen_ai.server.time_per_output_token"
METRIC_TOKENS = "gen_ai.client.token.usage"

OP_CHAT = "chat"
OP_COMPLETION = "text_completion"
OP_EMBEDDINGS = "embeddings"
OP_MODERATION = "moderation"
