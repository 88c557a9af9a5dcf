import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import ts from "typescript";

const repository = resolve(dirname(fileURLToPath(import.meta.url)), "..");

/**
 * Makes `clients/{name}/dist`: an ES module for each entry of its `exports`, with what the package uses of `core` and `wire`,
 * and a declaration for each source file. Neither names a `.ts` file or anything outside `dist`.
 */
export async function buildPackage(name: string): Promise<void> {
  const folder = join(repository, "clients", name);
  const dist = join(folder, "dist");
  const { dependencies = {}, exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  // `.` is src/index.ts, `./mailbox` is src/mailbox.ts.
  const sources = Object.keys(exports).map((path) =>
    join(folder, "src", `${path === "." ? "index" : path.slice(2)}.ts`),
  );
  rmSync(dist, { recursive: true, force: true });
  await build({
    entryPoints: sources,
    outdir: dist,
    bundle: true,
    // What entries share is one file for both: their errors are of one class.
    splitting: true,
    format: "esm",
    platform: "neutral",
    target: "es2022",
    external: Object.keys(dependencies).flatMap((dependency) => [dependency, `${dependency}/*`]),
    sourcemap: true,
    sourcesContent: true,
    logLevel: "warning",
  });
  emitDeclarations(folder, dist, sources);
}

function emitDeclarations(folder: string, dist: string, sources: readonly string[]): void {
  const { config } = ts.readConfigFile(join(repository, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.convertCompilerOptionsFromJson(config.compilerOptions, repository);
  // Within the repository, so that packages are found.
  const emitted = mkdtempSync(join(repository, "node_modules", ".declarations-"));
  try {
    const program = ts.createProgram(sources, {
      ...options,
      noEmit: false,
      declaration: true,
      emitDeclarationOnly: true,
      rootDir: repository,
      outDir: emitted,
    });
    const faults = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics];
    if (faults.length > 0) throw new Error(ts.formatDiagnostics(faults, ts.createCompilerHost(options)));
    const own = relative(repository, join(folder, "src")) + sep;
    // The package's own files stand at the root of dist, those of core and wire in folders of their names.
    const placeOf = (file: string) => (file.startsWith(own) ? file.slice(own.length) : file);
    for (const file of readdirSync(emitted, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".d.ts")) continue;
      const place = join(dist, placeOf(file));
      const specifier = (_whole: string, before: string, path: string) => {
        // Between top-level folders imports begin with a mark; `package.json` maps it to the repository.
        const named = path.startsWith("#") ? path.slice(1) : join(dirname(file), path);
        const target = join(dist, placeOf(named));
        const from = relative(dirname(place), target).replaceAll(sep, "/");
        return `${before}"${from.startsWith(".") ? from : `./${from}`}.js"`;
      };
      const text = readFileSync(join(emitted, file), "utf8");
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, text.replaceAll(/(from |import\()"((?:\.{1,2}\/|#)[^"]+)\.ts"/g, specifier));
    }
  } finally {
    rmSync(emitted, { recursive: true, force: true });
  }
}

if (import.meta.main) await buildPackage(process.argv[2]!);
