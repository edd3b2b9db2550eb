// What the scripts in JavaScript do with a model and inputs; exchange.py tells the same for those in Python.

const HEADER = 10; // bytes before the description of a .npy file: the magic, the version and the description's length

/** The array of float32 that a .npy file holds: {data, dims}. */
export function readNpy(buffer) {
  const length = new DataView(buffer).getUint16(8, true);
  const about = new TextDecoder().decode(new Uint8Array(buffer, HEADER, length));
  const [, shape] = about.match(/'descr': '<f4'.*'fortran_order': False.*'shape': \(([\d, ]+)\)/);
  const dims = shape.split(",").filter((part) => part.trim()).map(Number);
  return { data: new Float32Array(buffer.slice(HEADER + length)), dims };
}

/** The .npy file of an array of float32. */
export function writeNpy(data, dims) {
  const about = `{'descr': '<f4', 'fortran_order': False, 'shape': (${dims.join(", ")},), }`;
  const length = Math.ceil((HEADER + about.length + 1) / 64) * 64 - HEADER;
  const file = new Uint8Array(HEADER + length + data.byteLength);
  file.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, length & 255, length >> 8]);
  file.set(new TextEncoder().encode(about.padEnd(length - 1) + "\n"), HEADER);
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), HEADER + length);
  return file;
}

/** An error in one line. */
export function told(error) {
  return String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 400);
}

async function timed(run, input) {
  const started = performance.now();
  const found = await run(input);
  return [found, (performance.now() - started) / 1000];
}

/** Run an input twice; gives what result.json has of it, and the .npy file where it ran. */
export async function twice(run, input) {
  try {
    const [first, first_seconds] = await timed(run, input);
    const [second, seconds] = await timed(run, input);
    const same_again = first.data.every((value, i) => Object.is(value, second.data[i]));
    return [{ first_seconds, seconds, same_again }, writeNpy(second.data, second.dims)];
  } catch (error) {
    return [{ error: told(error) }, null];
  }
}

/** The whole session: `load` gives what runs {data, dims}; `inputs` are names; `read` and `write` are the caller's. */
export async function serve(load, versions, inputs, read, write) {
  const result = { versions, inputs: {} };
  const keep = () => write("result.json", new TextEncoder().encode(JSON.stringify(result)));
  let run;
  try {
    const started = performance.now();
    run = await load();
    result.load_seconds = (performance.now() - started) / 1000;
  } catch (error) {
    result.load_error = told(error);
    return keep();
  }
  await keep();
  for (const name of inputs) {
    const [about, file] = await twice(run, readNpy(await read(name)));
    result.inputs[name.replace(/\.npy$/, "")] = about;
    if (file) await write(name, file);
    await keep();
  }
}
