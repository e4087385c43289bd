// Does with the `openai` package of npm, installed in the folder named first, what a line of stdin asks: one JSON line
// in for each thing to do, one JSON line out for what came of it.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { File } from 'node:buffer';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

globalThis.File ??= File; // Node 18 has it, and keeps it to itself
const require = createRequire(join(process.argv[2], 'package.json'));
const OpenAI = require('openai');
const { VERSION } = require('openai/version');

const digest = async (response) => {
  const content = Buffer.from(await response.arrayBuffer());
  return { bytes: content.length, sha256: createHash('sha256').update(content).digest('hex') };
};

const deeds = {
  version: () => VERSION,
  create: (client, { extra, file, headers, ...fields }) =>
    client.videos.create(
      { ...fields, ...extra, ...(file && { input_reference: createReadStream(file) }) },
      { headers },
    ),
  retrieve: (client, { id }) => client.videos.retrieve(id),
  page: async (client, query) => {
    const page = await client.videos.list(query);
    return { ids: page.data.map((video) => video.id), has_more: page.has_more };
  },
  list_all: async (client, { at_most, ...query }) => {
    const found = [];
    for await (const video of client.videos.list(query)) {
      found.push(video.id);
      if (found.length >= at_most) break;
    }
    return found;
  },
  download: async (client, { id, ...query }) => digest(await client.videos.downloadContent(id, query)),
  delete: (client, { id }) => client.videos.delete(id),
  remix: (client, { id }) => client.videos.remix(id, { prompt: 'again' }),
  edit: (client, { file }) => client.videos.edit({ prompt: 'again', video: createReadStream(file) }),
  extend: (client, { file }) =>
    client.videos.extend({ prompt: 'more', seconds: '4', video: createReadStream(file) }),
  create_character: (client, { file }) =>
    client.videos.createCharacter({ name: 'Ann', video: createReadStream(file) }),
  get_character: (client, { id }) => client.videos.getCharacter(id),
  models: async (client) => {
    const found = [];
    for await (const model of client.models.list()) found.push(model.id);
    return found;
  },
  post: (client, { path, body }) => client.post(path, { body }),
  get: (client, { path }) => client.get(path),
};

const perform = async ({ do: deed, with: said, base_url, key, settings }) => {
  try {
    const { max_retries: maxRetries, timeout } = settings;
    const client = new OpenAI({
      baseURL: base_url,
      apiKey: key,
      ...(maxRetries !== undefined && { maxRetries }),
      ...(timeout !== undefined && { timeout: timeout * 1000 }),
    });
    return { answer: await deeds[deed](client, said) };
  } catch (error) {
    const { message, status = null, code = null, param = null, type = null, error: body = null } = error;
    return { error: { class: error.constructor.name, message, status, code, param, type, body } };
  }
};

for await (const line of createInterface({ input: process.stdin })) {
  console.log(JSON.stringify(await perform(JSON.parse(line))));
}
