import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import ts from "typescript";

// Makes dist/ of this package: one ES module and its declarations, free of `.ts` specifiers.
//   node clients/pubky/build.ts

const here = dirname(fileURLToPath(import.meta.url));
const repository = resolve(here, "../..");
const entry = join(here, "src/index.ts");
const dist = join(here, "dist");

rmSync(dist, { recursive: true, force: true });
await build({
  entryPoints: [entry],
  outfile: join(dist, "index.js"),
  bundle: true,
  format: "esm",
  platform: "neutral",
  target: "es2024",
  external: ["@noble/*"],
  sourcemap: "linked",
  logLevel: "warning",
});
writeDeclarations();

/** Declarations of everything the entry reaches: this package's own at the root, the rest beside them. */
function writeDeclarations(): void {
  const { config } = ts.readConfigFile(join(repository, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, repository);
  const out = mkdtempSync(join(repository, "node_modules/.pubky-types-"));
  try {
    const program = ts.createProgram([entry], {
      ...options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      stripInternal: true,
      rootDir: repository,
      outDir: out,
    });
    const { diagnostics } = program.emit();
    const faults = [...ts.getPreEmitDiagnostics(program), ...diagnostics];
    if (faults.length > 0) throw new Error(ts.formatDiagnostics(faults, ts.createCompilerHost(options)));
    for (const file of readdirSync(out, { recursive: true, encoding: "utf8" })) {
      if (file.endsWith(".d.ts")) placeDeclaration(out, file);
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}

function placeOf(file: string): string {
  const ownSources = "clients/pubky/src/";
  return file.startsWith(ownSources) ? file.slice(ownSources.length) : file;
}

function placeDeclaration(out: string, file: string): void {
  const place = placeOf(file);
  const text = readFileSync(join(out, file), "utf8").replaceAll(
    /(from |import\()"(\.[^"]+)\.ts"/g,
    (_, before: string, specifier: string) => {
      const target = placeOf(join(dirname(file), specifier));
      const path = relative(dirname(place), target);
      return `${before}"${path.startsWith(".") ? path : `./${path}`}.js"`;
    },
  );
  ts.sys.writeFile(join(dist, place), text);
}
