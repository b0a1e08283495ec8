import type { Marp } from '@marp-team/marp-core';

/** The markdown-it that Marp carries. */
export type MarkdownIt = Marp['markdown'];
