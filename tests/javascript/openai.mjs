// The OpenAI package for JavaScript.

import assert from "node:assert/strict";
import OpenAI from "openai";
import {
  ANSWERED, EMAIL, INJECTION, KEY, MODEL, PERSON, SAID, URL, WEATHER, called, person, run, user,
} from "./harness.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 2 });
const ask = (said, more = {}, options = {}) =>
  client.chat.completions.create({ model: MODEL, messages: user(said), ...more }, options);
const tools = [{ type: "function", function: { name: "get_weather", parameters: WEATHER } }];
const text = (answer) => answer.choices[0].message.content;

await run("openai", {
  models: async () => {
    const names = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.ok(names.includes(MODEL));
  },
  chat: async () => assert.equal(text(await ask(SAID)), ANSWERED),
  stream: async () => {
    let said = "";
    for await (const chunk of await ask(SAID, { stream: true }))
      said += chunk.choices[0]?.delta?.content ?? "";
    assert.equal(said, ANSWERED);
  },
  tools: async () => {
    const answer = await ask("tool", { tools });
    called(answer.choices[0].message.tool_calls[0].function.arguments);
  },
  "tools streamed": async () => {
    const asked = { model: MODEL, messages: user("tool"), tools };
    const whole = await client.chat.completions.stream(asked).finalChatCompletion();
    called(whole.choices[0].message.tool_calls[0].function.arguments);
  },
  "JSON schema": async () => {
    const json_schema = { name: "person", schema: PERSON, strict: true };
    person(text(await ask("json", { response_format: { type: "json_schema", json_schema } })));
  },
  embeddings: async () => {
    const made = await client.embeddings.create({ model: MODEL, input: ["a", "b"] });
    assert.equal(made.data.length, 2);
    assert.equal(made.data[0].embedding[0], 0.25);
  },
  logprobs: async () => {
    const answer = await ask("logprobs", { logprobs: true });
    assert.equal(answer.choices[0].logprobs.content[0].logprob, -0.5);
  },
  errors: async () => {
    await assert.rejects(ask(SAID, { model: "gpt-none" }), OpenAI.NotFoundError);
    await assert.rejects(ask(SAID, { messages: [] }), OpenAI.BadRequestError);
    const stranger = new OpenAI({ baseURL: `${URL}/v1`, apiKey: "sk-km-stranger" });
    await assert.rejects(stranger.models.list(), OpenAI.AuthenticationError);
    await assert.rejects(ask("busy js once", {}, { maxRetries: 0 }), OpenAI.RateLimitError);
  },
  blocked: async () => assert.rejects(ask(INJECTION), { code: "content_filter" }),
  masked: async () => assert.equal(text(await ask(`echo ${EMAIL}`)), `echo ${EMAIL}`),
  retry: async () => assert.equal(text(await ask("busy js retry")), ANSWERED),
  responses: async () => {
    const answer = await client.responses.create({ model: MODEL, input: SAID });
    assert.equal(answer.output_text, ANSWERED);
  },
  "responses streamed": async () => {
    const whole = await client.responses.stream({ model: MODEL, input: SAID }).finalResponse();
    assert.equal(whole.output_text, ANSWERED);
  },
});
