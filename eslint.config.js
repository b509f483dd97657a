// The rules for the project's JavaScript; how it is laid out is Prettier's, and its types are TypeScript's.

import js from "@eslint/js";
import globals from "globals";

export default [
  { ignores: ["**/*.d.ts"] },
  js.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: "error" },
    languageOptions: { ecmaVersion: 2025, globals: globals.browser },
    rules: {
      camelcase: ["error", { properties: "never", ignoreDestructuring: true }],
      curly: ["error", "multi-line"],
      eqeqeq: "error",
      "func-style": ["error", "declaration", { allowArrowFunctions: true }],
      "max-lines": ["error", { max: 400 }],
      "max-lines-per-function": ["error", { max: 60, IIFEs: true }],
      "no-var": "error",
      "object-shorthand": "error",
      "prefer-const": "error",
      "prefer-template": "error",
    },
  },
  { files: ["kf_spawner/hub/templates/*.js"], languageOptions: { globals: { require: "readonly" } } },
];
