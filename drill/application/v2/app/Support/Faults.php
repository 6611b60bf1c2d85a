<?php

namespace App\Support;

use Illuminate\Http\Request;

/** Defects of this release that a drill switches on with a file. Without the file there are none. */
class Faults
{
    private array $settings;

    /** @var string[] */
    private array $heldMemory = [];

    public function __construct(private string $file)
    {
    }

    public function read(): self
    {
        $this->settings = is_file($this->file) ? (json_decode(file_get_contents($this->file), true) ?: []) : [];

        return $this;
    }

    public function concern(Request $request): bool
    {
        return ! $request->is('api/health', 'api/health/*') || ($this->settings['health'] ?? false);
    }

    public function slowDown(): void
    {
        if ($this->happens($this->settings['slow_share'] ?? 1.0)) {
            usleep((int) ($this->settings['slow_ms'] ?? 0) * 1000);
        }
    }

    public function breaks(): bool
    {
        return $this->happens($this->settings['error_share'] ?? 0.0);
    }

    /** Never given back: a request holds it to its end, a queue worker grows with every job. */
    public function growMemory(): void
    {
        if ($megabytes = (int) ($this->settings['memory_mb'] ?? 0)) {
            $this->heldMemory[] = str_repeat('x', $megabytes * 1024 ** 2);
        }
    }

    public function orphanLogs(): bool
    {
        return (bool) ($this->settings['orphan_logs'] ?? false);
    }

    private function happens(float $share): bool
    {
        return mt_rand() / mt_getrandmax() < $share;
    }
}
