<?php

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsTo;
use Illuminate\Database\Eloquent\Relations\HasMany;
use Illuminate\Database\Eloquent\Relations\HasOne;

class Campaign extends Model
{
    protected $fillable = ['name', 'campaign_type', 'template_id', 'contact_group_id', 'user_id'];

    public function template(): BelongsTo
    {
        return $this->belongsTo(Template::class);
    }

    public function group(): BelongsTo
    {
        return $this->belongsTo(ContactGroup::class, 'contact_group_id');
    }

    public function logs(): HasMany
    {
        return $this->hasMany(CampaignLog::class);
    }

    public function hybridOptions(): HasOne
    {
        return $this->hasOne(CampaignHybridOption::class);
    }

    public function isHybrid(): bool
    {
        return $this->campaign_type === 'hybrid';
    }

    public function messageFor(Contact $contact): string
    {
        $text = strtr($this->template->body, ['{name}' => $contact->name]);

        return $this->isHybrid() ? $text."\n\n".$this->hybridOptions->asText() : $text;
    }
}
