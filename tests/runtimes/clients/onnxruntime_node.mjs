// onnxruntime-node: ONNX Runtime in Node.js. MODEL INPUTS OUT, as for every client.

import { readFile, readdir, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { serve } from "./exchange.mjs";

const [model, inputs, out] = process.argv.slice(2);
const require = createRequire(join(process.env.CLIENT_PACKAGES, "package.json"));
const ort = require("onnxruntime-node");

async function load() {
  const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 2 });
  return async ({ data, dims }) => {
    const { embeddings } = await session.run({ waveform: new ort.Tensor("float32", data, dims) });
    return embeddings;
  };
}

async function read(name) {
  const bytes = await readFile(join(inputs, name));
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

const versions = { "onnxruntime-node": ort.env.versions.node, node: process.versions.node };
const names = (await readdir(inputs)).filter((name) => name.endsWith(".npy")).sort();
await serve(load, versions, names, read, (name, bytes) => writeFile(join(out, name), bytes));
