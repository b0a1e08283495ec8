import stylistic from '@stylistic/eslint-plugin';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const typescript = ['src/**/*.ts', 'demo/**/*.ts', 'tests/**/*.ts', '*.ts'];

/** One tool for linting and formatting: `npm run lint` checks, `npm run lint -- --fix` formats. */
export default defineConfig(
  { ignores: ['assets/', 'dist/', 'out/', 'src/**/assembly/', 'demo/.*'] },
  {
    files: [...typescript, '*.js', 'src/*.js'],
    plugins: { '@stylistic': stylistic },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      ...stylistic.configs.customize({
        indent: 2,
        quotes: 'single',
        semi: true,
        commaDangle: 'always-multiline',
        braceStyle: '1tbs',
        arrowParens: true,
        quoteProps: 'consistent-as-needed',
      }).rules,
      '@stylistic/max-len': ['error', {
        code: 120, ignoreUrls: true, ignoreStrings: true, ignoreTemplateLiterals: true, ignoreRegExpLiterals: true,
      }],
      // Tensor code lines up numbers and packs short statements where that reads better.
      '@stylistic/max-statements-per-line': 'off',
      '@stylistic/no-multi-spaces': ['error', { ignoreEOLComments: true, exceptions: { Property: true, ArrayExpression: true } }],
      '@stylistic/no-mixed-operators': 'off',
      '@stylistic/multiline-ternary': 'off',
      '@stylistic/operator-linebreak': 'off',
      '@stylistic/indent-binary-ops': 'off',
      '@stylistic/quotes': ['error', 'single', { avoidEscape: true, allowTemplateLiterals: 'avoidEscape' }],
      'no-var': 'error',
      'prefer-const': 'error',
      'eqeqeq': 'error',
    },
  },
  {
    files: typescript,
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    rules: {
      '@typescript-eslint/consistent-type-imports': 'error',
      // TensorFlow.js loses the rank of most results; `as Tensor2D` says it, needed or not.
      '@typescript-eslint/no-unnecessary-type-assertion': 'off',
      '@typescript-eslint/return-await': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      // The compiler reports these already, and knows the leading underscore.
      '@typescript-eslint/no-unused-vars': 'off',
      // Numbers are what our templates print.
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      // A generator of events may be async by contract and await nothing.
      '@typescript-eslint/require-await': 'off',
    },
  },
);
