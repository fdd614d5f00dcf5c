// The Anthropic package for JavaScript, at /v1/messages.

import assert from "node:assert/strict";
import Anthropic from "@anthropic-ai/sdk";
import {
  ANSWERED, EMAIL, INJECTION, KEY, MODEL, SAID, URL, WEATHER, called, run, user,
} from "./harness.mjs";

const client = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 2 });
const asked = (said, more = {}) => ({ model: MODEL, max_tokens: 100, messages: user(said), ...more });
const ask = (said, more, options) => client.messages.create(asked(said, more), options);
const tools = [{ name: "get_weather", input_schema: WEATHER }];

await run("@anthropic-ai/sdk", {
  models: async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(MODEL));
  },
  chat: async () => assert.equal((await ask(SAID)).content[0].text, ANSWERED),
  stream: async () =>
    assert.equal(await client.messages.stream(asked(SAID)).finalText(), ANSWERED),
  tools: async () => called((await ask("tool", { tools })).content[0].input),
  "tools streamed": async () => {
    const whole = await client.messages.stream(asked("tool", { tools })).finalMessage();
    called(whole.content[0].input);
  },
  "count tokens": async () => {
    const counted = await client.messages.countTokens({ model: MODEL, messages: user(SAID) });
    assert.ok(counted.input_tokens > 0);
  },
  errors: async () => {
    await assert.rejects(ask(SAID, { model: "none" }), Anthropic.NotFoundError);
    await assert.rejects(ask(SAID, { max_tokens: 0 }), Anthropic.BadRequestError);
    const stranger = new Anthropic({ baseURL: URL, apiKey: "sk-km-stranger" });
    await assert.rejects(stranger.models.list(), Anthropic.AuthenticationError);
    await assert.rejects(ask("busy ajs once", {}, { maxRetries: 0 }), Anthropic.RateLimitError);
  },
  blocked: async () => assert.rejects(ask(INJECTION), Anthropic.BadRequestError),
  masked: async () => assert.equal((await ask(`echo ${EMAIL}`)).content[0].text, `echo ${EMAIL}`),
  retry: async () => assert.equal((await ask("busy ajs retry")).content[0].text, ANSWERED),
});
