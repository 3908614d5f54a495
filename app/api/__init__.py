"""The endpoints, one file a resource: its schemas on top, its endpoints below."""

# In the order of the API's description; a new resource is a file with a ``blueprint``, and a name here.
RESOURCES = (
    *("health", "auth", "users"),
    *("curricula", "curriculum_assets", "speech", "voices", "captions", "pronunciations", "prefetch"),
    *("deployments", "deployment_files"),
    "imports",
    "sessions",
    *("jobs", "deliveries"),
    *("metrics", "resources", "cleanup"),
    *("errors", "audit"),
    *("info", "wake_training", "wake_models", "wake_cache"),
    *("transcribing", "transcription_audio", "transcription_agents"),
    *(
        "transcription_tasks",
        "transcription_money",
        "transcription_results",
        "transcription_webhook",
        "transcription_health",
    ),
    *("services", "user_mappings", "groups", "tools", "gateway_system", "site_config", "backup"),
    *("training_prompts", "training_preview", "training_sessions", "training_results", "training_workers"),
    *("openai", "openai_batch"),
    "wake_tests",
)
