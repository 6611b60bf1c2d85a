import { defineConfig } from 'vite';

export default defineConfig({
    base: '/build/',
    publicDir: false,
    build: {
        emptyOutDir: true,
        manifest: 'manifest.json',
        outDir: 'public/build',
        rollupOptions: {
            input: 'resources/js/campaign-create.js',
        },
    },
});
