// Makes components of what the other tools left: node build.mjs OUT SOURCES
import { componentEmbed, componentNew } from "@bytecodealliance/jco";
import { componentize } from "@bytecodealliance/componentize-js";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readFile, writeFile } from "node:fs/promises";

const [out, sources] = process.argv.slice(2);
const wit = await readFile(join(sources, "hello.wit"), "utf8");

const plain = await readFile(join(out, "hello-c.core.wasm"));
const embedded = await componentEmbed({ binary: plain, witSource: wit, world: "hello" });
await writeFile(join(out, "hello-c.wasm"), await componentNew(embedded, []));

const jco = fileURLToPath(new URL("node_modules/@bytecodealliance/jco", import.meta.url));
const adapter = await readFile(join(jco, "lib/wasi_snapshot_preview1.command.wasm"));
const command = await readFile(join(out, "command.core.wasm"));
await writeFile(join(out, "command.wasm"), await componentNew(command, [["wasi_snapshot_preview1", adapter]]));

const { component } = await componentize(await readFile(join(sources, "hello.js"), "utf8"), {
  witPath: join(sources, "hello.wit"),
  worldName: "hello",
});
await writeFile(join(out, "hello-js.wasm"), component);
