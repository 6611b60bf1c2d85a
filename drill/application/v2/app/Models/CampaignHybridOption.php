<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model;

class CampaignHybridOption extends Model
{
    protected $fillable = ['buttons', 'fallback_text'];

    protected $casts = ['buttons' => 'array'];

    public function asText(): string
    {
        $lines = collect($this->buttons)->map(fn (string $button, int $index) => ($index + 1).". {$button}");

        return $lines->push($this->fallback_text)->filter()->implode("\n");
    }
}
