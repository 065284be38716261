"""Talks to the simulated engine with the official client, as a user's program would.

Usage: client.py BASE_URL. Prints "ok" and the client's version when everything came out right.
"""

import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "v1", api_key="unused", max_retries=0)
model = client.models.list().data[0].id
messages = [{"role": "user", "content": "What is a good name for a grey cat?"}]
fixed = {"ignore_eos": True}


def check(condition, what):
    if not condition:
        sys.exit(f"wrong: {what}")


# Chat, whole.
answer = client.chat.completions.create(model=model, messages=messages, max_tokens=8, n=2, seed=1, extra_body=fixed)
check(answer.usage.completion_tokens == 16, answer.usage)
check([choice.finish_reason for choice in answer.choices] == ["length"] * 2, answer.choices)
check(all(choice.message.role == "assistant" for choice in answer.choices), answer.choices)
check(answer.choices[0].message.content != answer.choices[1].message.content, answer.choices)

# Chat, streamed: the same seed gives the same texts.
stream = client.chat.completions.create(
    model=model, messages=messages, max_tokens=8, n=2, seed=1, stream=True,
    stream_options={"include_usage": True}, extra_body=fixed,
)
texts, usage, events = ["", ""], None, 0
for chunk in stream:
    usage = chunk.usage or usage
    for choice in chunk.choices:
        events += 1
        texts[choice.index] += choice.delta.content or ""
check(events == 2 + 16, events)
check(usage is not None and usage == answer.usage.model_copy(update={
    "prompt_tokens_details": None, "completion_tokens_details": None}), usage)
check(texts == [choice.message.content for choice in answer.choices], texts)

# Log probabilities.
answer = client.chat.completions.create(
    model=model, messages=messages, max_tokens=3, logprobs=True, top_logprobs=2, extra_body=fixed)
content = answer.choices[0].logprobs.content
check("".join(token.token for token in content) == answer.choices[0].message.content, content)
check(all(len(token.top_logprobs) == 2 and token.logprob <= 0 for token in content), content)

# Completions, whole and streamed, of two prompts.
arguments = dict(model=model, prompt=["Once upon a time", "In the beginning"], max_tokens=5, seed=2, extra_body=fixed)
answer = client.completions.create(logprobs=1, **arguments)
check(answer.usage.completion_tokens == 10, answer.usage)
check(len(answer.choices[1].logprobs.tokens) == 5, answer.choices[1].logprobs)
texts = ["", ""]
for chunk in client.completions.create(stream=True, **arguments):
    for choice in chunk.choices:
        texts[choice.index] += choice.text
check(texts == [choice.text for choice in answer.choices], texts)

# The client's own helper for streams; it wants answers that end by themselves.
with client.chat.completions.stream(model=model, messages=messages) as stream:
    final = stream.get_final_completion()
check(final.choices[0].finish_reason == "stop" and final.choices[0].message.content != "", final)

# Its reading of errors.
try:
    client.chat.completions.create(model="nobody's", messages=messages)
    check(False, "an unknown model was served")
except openai.NotFoundError as error:
    check("does not exist" in str(error), error)
try:
    client.completions.create(model=model, prompt="x", max_tokens=0)
    check(False, "max_tokens=0 was served")
except openai.BadRequestError as error:
    check(error.body["param"] == "max_tokens", error.body)
try:
    client.embeddings.create(model=model, input="x")
    check(False, "embeddings were served")
except openai.NotFoundError:
    pass

print("ok", openai.__version__)
