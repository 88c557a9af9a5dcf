// The arrows of ARCHITECTURE.md, checked: imports point one way, and the inner layers know no platform.
const only = (name, from, allowed, comment) => ({
  name,
  comment,
  severity: "error",
  from: { path: from, pathNot: "\\.test\\.ts$" },
  to: { pathNot: [...allowed, "^node_modules/"], dependencyTypesNot: ["core"] },
});
// What runs beside the sources of a client package, such as its build, is for Node.
const inner = "^(core|wire|modes)/|^(clients/[^/]+|web)/src/";

module.exports = {
  forbidden: [
    { name: "no-cycles", severity: "error", from: { pathNot: "\\.test\\.ts$" }, to: { circular: true } },
    {
      name: "no-platform-inside",
      comment: "core, wire, modes and clients run in any JavaScript runtime: no Node built-ins.",
      severity: "error",
      from: { path: inner, pathNot: "\\.test\\.ts$" },
      to: { dependencyTypes: ["core"] },
    },
    only("core-knows-itself", "^core/", ["^core/"]),
    only("wire-knows-core", "^wire/", ["^wire/", "^core/"]),
    only("store-contract-knows-core", "^store/contract/", ["^store/contract/", "^core/"]),
    only("engine-knows-contract", "^store/(memory|sqlite)/", ["^store/", "^core/"]),
    only("modes-know-no-engine-or-transport", "^modes/", ["^modes/", "^wire/", "^core/", "^store/contract/"]),
    {
      name: "modes-know-no-other-mode",
      severity: "error",
      from: { path: "^modes/([^/]+)/" },
      to: { path: "^modes/", pathNot: "^modes/$1/" },
    },
    only("edge-knows-wire-and-core", "^edge/", ["^edge/", "^wire/", "^core/"]),
    only("clients-know-wire-and-core", "^clients/", ["^clients/", "^wire/", "^core/"]),
    {
      name: "web-knows-clients-wire-and-core",
      severity: "error",
      from: { path: "^web/", pathNot: "\\.test\\.ts$" },
      to: { path: "^(modes|store|edge|daemon|cli|ops)/" },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
