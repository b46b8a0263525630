"""What looks like a secret is found, and what only sounds like one is not."""

from pathlib import PurePath

import pytest

from poise.cluster.secret_patterns import named_like_a_secret, secret_in

LETTERS = "Q7w" * 14  # secrets are put together here, so that no file of the project holds one

SECRETS = [
    "-----BEGIN " + "RSA PRIVATE KEY-----",
    "-----BEGIN " + "OPENSSH PRIVATE KEY-----",
    "AKIA" + "ABCDEFGHIJKLMNOP",
    "ghp_" + LETTERS[:36],
    "hf_" + LETTERS[:34],
    "glpat-" + LETTERS[:20],
    "xoxb-" + LETTERS[:20],
    "postgresql://poise:" + "hunter2@db/mlflow",
    "s3://" + LETTERS[:20] + ":" + LETTERS[:40] + "@bucket/data",
    "http://" + "hunter2hunter2@host:5000",
    "git+https://" + "hunter2hunter2@github.com/me/package",
    "s3://" + "hunter2hunter2@bucket/data",
    "https://" + "hunter2hunter2:@host",
    "aws_secret_access_key = " + LETTERS[:40],
    "password: " + "correct-horse",
    '"api_key": "' + "abcdef123" + '"',
    "MLFLOW_TRACKING_PASSWORD=" + "swordfish",
    "client-secret: '" + "a b c d e f" + "'",
    "auth_token: " + LETTERS[:20],
    "https://bucket.example.org/a?X-Amz-Signature=" + LETTERS[:20],
]
HARMLESS = [
    "num_register_tokens: 4",
    "pooling: mean_of_patch_tokens",
    "token: ${RAY_AUTH_TOKEN}",
    "password: null",
    "password: <yours>",
    "postgresql://USER:" + "PASSWORD@HOST/NAME",
    "http://127.0.0.1:5000/#/experiments/1",
    "git+https://" + "git@github.com/me/package",
    "https://example.org/npm/package@1.2",
    "postgresql://mlflow@db/mlflow",
    "hdfs://me@name/data",
    "gs://anonymous@bucket/data",
    "data.dataset=/shared/tokens/train",
    "objective.teacher_temp={choice: [0.04, 0.07]}",
    "secret: 5",
]


@pytest.mark.parametrize("text", SECRETS)
def test_a_secret_is_found_and_its_kind_named_without_its_value(text: str) -> None:
    kind = secret_in(f"first: line\n{text}\nlast: line\n")
    assert kind is not None
    assert text[-6:] not in kind


@pytest.mark.parametrize("text", HARMLESS)
def test_settings_that_only_sound_like_secrets_are_none(text: str) -> None:
    assert secret_in(text) is None


def test_in_code_only_quoted_values_are_secrets() -> None:
    assert secret_in("token = read_the_token_of(path, number=12345)", is_code=True) is None
    assert secret_in("password = os.environ['PASSWORD']", is_code=True) is None
    assert secret_in("password = '" + "hunter2hunter2'", is_code=True) is not None


@pytest.mark.parametrize(
    "name",
    [
        "credentials.json", "aws_credentials.csv", "client_secret.json", "secrets.yaml",
        "my-password.txt", "tokens.json", "hf_token.txt", "kubeconfig.yaml", "api-key.txt",
        "service-account.json", "gcp_service_account.json", "private_key.txt", "Secrets.TOML",
    ],
)  # fmt: skip
def test_names_of_files_with_secrets_are_known(name: str) -> None:
    assert named_like_a_secret(PurePath("conf") / name)


@pytest.mark.parametrize(
    "name",
    ["last_tokens.py", "secret_patterns.py", "register_tokens.yaml", "recipe.yaml", "keys.json"],
)
def test_names_of_code_and_recipes_are_not(name: str) -> None:
    assert not named_like_a_secret(PurePath("conf") / name)
