<?php

namespace App\Support;

use Illuminate\Support\HtmlString;
use RuntimeException;

class ViteManifest
{
    public function __construct(private string $buildPath)
    {
    }

    public function tags(string $entry): HtmlString
    {
        $chunk = $this->read()[$entry] ?? throw new RuntimeException("Entry {$entry} is not in the front-end build.");
        $tags = [];

        foreach ($chunk['css'] ?? [] as $file) {
            $tags[] = sprintf('<link rel="stylesheet" href="/build/%s">', e($file));
        }

        $tags[] = sprintf('<script type="module" src="/build/%s"></script>', e($chunk['file']));

        return new HtmlString(implode("\n", $tags));
    }

    private function read(): array
    {
        foreach (['manifest.json', '.vite/manifest.json'] as $name) {
            if (is_file($path = "{$this->buildPath}/{$name}")) {
                return json_decode(file_get_contents($path), true, 512, JSON_THROW_ON_ERROR);
            }
        }

        throw new RuntimeException('The front-end build has no manifest.');
    }
}
